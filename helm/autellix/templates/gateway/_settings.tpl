{{/* What the gateway reads with --config: what is its own to know, and over it what the values say. */}}
{{- define "autellix.gatewaySettings" -}}
{{- $table := printf "%s.%s" (.Release.Namespace | trunc 23) (include "autellix.fullname" .) -}}
{{- $own := dict "host" "0.0.0.0" "port" 8080 "kubernetes_namespace" .Release.Namespace "pool" $table -}}
{{- toYaml (merge (deepCopy .Values.gateway.settings) $own) -}}
{{- end }}
