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

{{/* How long a gateway may take to end: until everybody has heard of it, its calls have ended, and are settled. */}}
{{- define "autellix.gatewayGrace" -}}
{{- $settings := fromYaml (include "autellix.gatewaySettings" .) -}}
{{- $calls := ternary (get $settings "shutdown_s") 30 (hasKey $settings "shutdown_s") -}}
{{- add (ceil $settings.drain_delay_s) (ceil $calls) 10 -}}
{{- end }}
