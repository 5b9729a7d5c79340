{{/*
What the gateway reads with --config: what the chart knows, and over it what the values say. A gateway that ends takes
calls for as long as every node may need to hear of it.
*/}}
{{- define "autellix.gatewaySettings" -}}
{{- $table := printf "%s.%s" (.Release.Namespace | trunc 23) (include "autellix.fullname" .) -}}
{{- $own := dict "host" "0.0.0.0" "port" 8080 "kubernetes_namespace" .Release.Namespace "pool" $table -}}
{{- $_ := set $own "drain_delay_s" 5 -}}
{{- toYaml (merge (deepCopy .Values.gateway.settings) $own) -}}
{{- end }}
