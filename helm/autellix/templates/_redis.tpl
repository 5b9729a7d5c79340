{{/* Where the process table is. A URL never holds a password; that comes by a variable of its own. */}}
{{- define "autellix.redisUrl" -}}
{{- if .Values.redis.enabled -}}
{{- printf "redis://%s-redis.%s.svc:6379/0" (include "autellix.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- $external := .Values.externalRedis -}}
{{- $url := $external.url -}}
{{- if not $url -}}
{{- $user := ternary (printf "%s@" (urlquery $external.username)) "" (ne $external.username "") -}}
{{- $scheme := ternary "rediss" "redis" $external.tls.enabled -}}
{{- $url = printf "%s://%s%s:%d/%d" $scheme $user $external.host (int $external.port) (int $external.database) -}}
{{- end -}}
{{- if $external.tls.caSecret -}}
{{- $url = printf "%s%sssl_ca_certs=/etc/autellix/redis-ca/ca.crt" $url (ternary "&" "?" (contains "?" $url)) -}}
{{- end -}}
{{- $url -}}
{{- end -}}
{{- end }}

{{- define "autellix.redisSecret" -}}
{{- .Values.redis.auth.existingSecret | default (printf "%s-redis" (include "autellix.fullname" .)) -}}
{{- end }}

{{/* The gateway's variables for the process table. */}}
{{- define "autellix.redisEnv" -}}
{{- $external := .Values.externalRedis -}}
{{- if and (not .Values.redis.enabled) $external.urlKey -}}
- name: AUTELLIX_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $external.existingSecret }}
      key: {{ $external.urlKey }}
{{- else -}}
- name: AUTELLIX_REDIS_URL
  value: {{ include "autellix.redisUrl" . | quote }}
{{- if or .Values.redis.enabled $external.existingSecret }}
- name: AUTELLIX_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ ternary (include "autellix.redisSecret" .) $external.existingSecret .Values.redis.enabled }}
      key: {{ ternary .Values.redis.auth.passwordKey $external.passwordKey .Values.redis.enabled }}
{{- end }}
{{- end }}
{{- end }}
