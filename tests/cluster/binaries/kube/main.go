// Kubernetes and its store as one program, which saves linking seven: it is the one that it was called as.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// command runs a part that is built with cobra, as its own main function would.
func command(built *cobra.Command) {
	os.Exit(cli.Run(built))
}

var parts = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          func() { command(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { command(controllers.NewControllerManagerCommand()) },
	"kube-proxy":              func() { command(proxy.NewProxyCommand()) },
	"kube-scheduler":          func() { command(scheduler.NewSchedulerCommand()) },
	"kubectl":                 func() { command(kubectl.NewDefaultKubectlCommand()) },
	"kubelet":                 func() { command(kubelet.NewKubeletCommand(context.Background())) },
}

func main() {
	part, known := parts[filepath.Base(os.Args[0])]
	if !known {
		names := slices.Sorted(maps.Keys(parts))
		fmt.Fprintf(os.Stderr, "Call this program as one of: %s; each is a link to it.\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	part()
}
