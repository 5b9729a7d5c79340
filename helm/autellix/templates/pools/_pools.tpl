{{/* The EnginePools of the values. What a pool does not say of its image, engine key and pull secrets is filled in. */}}
{{- define "autellix.pools" -}}
{{- $root := . -}}
{{- range $name, $given := .Values.pools }}
{{- $spec := deepCopy $given -}}
{{- $engine := $spec.engine | default dict -}}
{{- $kind := $engine.kind | default "vllm" -}}
{{- $image := index $root.Values.engineImages $kind -}}
{{- if not $engine.image -}}
{{- $_ := set $engine "image" (include "autellix.image" (dict "root" $root "image" $image)) -}}
{{- if not $engine.imagePullPolicy -}}
{{- $_ := set $engine "imagePullPolicy" $image.pullPolicy -}}
{{- end -}}
{{- end -}}
{{- if and (eq $kind "vllm") (or $root.Values.auth.engineKey $root.Values.auth.existingSecret) -}}
{{- $key := dict "name" (include "autellix.keys" $root) "key" "engine-key" "optional" true -}}
{{- $shown := dict "name" "VLLM_API_KEY" "valueFrom" (dict "secretKeyRef" $key) -}}
{{- $_ := set $engine "env" (append ($engine.env | default list) $shown) -}}
{{- end -}}
{{- $_ := set $spec "engine" $engine -}}
{{- if $root.Values.imagePullSecrets -}}
{{- $template := $spec.podTemplate | default dict -}}
{{- if not $template.imagePullSecrets -}}
{{- $_ := set $template "imagePullSecrets" $root.Values.imagePullSecrets -}}
{{- $_ := set $spec "podTemplate" $template -}}
{{- end -}}
{{- end }}
---
apiVersion: autellix.dev/v1alpha1
kind: EnginePool
metadata:
  {{- include "autellix.metadata" (dict "root" $root "component" "engine" "name" $name) | nindent 2 }}
  {{- if $root.Values.hooks.enabled }}
  annotations: # so that the release can have them for its own, should hooks.enabled become false
    meta.helm.sh/release-name: {{ $root.Release.Name }}
    meta.helm.sh/release-namespace: {{ $root.Release.Namespace }}
  {{- end }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end }}
{{- end }}
