{{/* The process table's rows and their indices belong together, so Redis must never evict. */}}
{{- define "autellix.redisConf" -}}
bind * -::*
port 6379
dir /data
maxmemory-policy noeviction
{{- with .Values.redis.maxmemory }}
maxmemory {{ . }}
{{- end }}
{{- if .Values.redis.persistence.enabled }}
appendonly yes
appendfsync everysec
{{- else }}
appendonly no
{{- end }}
save ""
{{- end }}
