{{/* What every pod of ours has before its containers. Takes {root, component, of, serviceAccount?, token?}. */}}
{{- define "autellix.pod" -}}
enableServiceLinks: false
serviceAccountName: {{ .serviceAccount | default "default" }}
automountServiceAccountToken: {{ .token | default false }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .of.podSecurityContext | nindent 2 }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas apart from one another, as far as nodes and zones allow. Takes {root, component, of}. */}}
{{- define "autellix.spread" -}}
{{- with .of.topologySpread }}
{{- if .enabled }}
topologySpreadConstraints:
  {{- range .topologyKeys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $.of.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "autellix.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A container's image and what it may do. Takes {root, image, of}. */}}
{{- define "autellix.container" -}}
image: {{ include "autellix.image" . | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
securityContext:
  {{- toYaml .of.securityContext | nindent 2 }}
{{- with .of.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* How long a gateway may take to end: what the load balancers need to hear of it, its calls, and settling them. */}}
{{- define "autellix.gatewayGrace" -}}
{{- $given := .Values.gateway.settings -}}
{{- $calls := ternary (get $given "shutdown_s") 30 (hasKey $given "shutdown_s") -}}
{{- $delay := ternary (get $given "drain_delay_s") 0 (hasKey $given "drain_delay_s") -}}
{{- add (int .Values.gateway.preStopSeconds) (ceil $delay) (ceil $calls) 10 -}}
{{- end }}
