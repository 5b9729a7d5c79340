{{/*
What everything is called after: the release, with "autellix" in it. At most 40 characters, so that whatever is put
behind it (and a StatefulSet's revision behind that) stays within 63; a longer one ends with a digest of the whole.
*/}}
{{- define "autellix.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full = .Values.fullnameOverride | default $full -}}
{{- if gt (len $full) 40 -}}
{{- printf "%s-%s" ($full | trunc 31 | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end }}

{{/* The labels that a selector of this component uses. Takes {root, component}. */}}
{{- define "autellix.selector" -}}
app.kubernetes.io/name: autellix
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of this component's objects. Takes {root, component}. */}}
{{- define "autellix.labels" -}}
{{- $own := fromYaml (include "autellix.selector" .) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63) -}}
{{- toYaml (merge $own .root.Values.commonLabels) -}}
{{- end }}

{{/* The labels of this component's pods: those that do not change with every version. Takes {root, component, of}. */}}
{{- define "autellix.podLabels" -}}
{{- $own := fromYaml (include "autellix.selector" .) -}}
{{- toYaml (merge $own (.of.podLabels | default dict) .root.Values.commonLabels) -}}
{{- end }}

{{/* Name, namespace and labels of an object. Takes {root, component, name?}. */}}
{{- define "autellix.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "autellix.fullname" .root) .component) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "autellix.labels" . | nindent 2 }}
{{- end }}

{{/* An image's full name. Takes {root, image}. */}}
{{- define "autellix.image" -}}
{{- $registry := .image.registry | default .root.Values.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "autellix.serviceAccount" -}}
{{- .of.serviceAccount.name | default (ternary (printf "%s-%s" (include "autellix.fullname" .root) .component) "default" .of.serviceAccount.create) -}}
{{- end }}

{{/* The Secret with the gateway's and the operator's keys. */}}
{{- define "autellix.keys" -}}
{{- .Values.auth.existingSecret | default (printf "%s-keys" (include "autellix.fullname" .)) -}}
{{- end }}

{{- define "autellix.gatewayUrl" -}}
{{- printf "http://%s-gateway.%s.svc:%d" (include "autellix.fullname" .) .Release.Namespace (int .Values.gateway.service.port) -}}
{{- end }}
