{{/* The process table's rows and their indices belong together, so Redis must never evict. It keeps its log without a
     claim as well: a container that starts again finds it in the pod's own volume. */}}
{{- define "autellix.redisConf" -}}
bind * -::*
port 6379
dir /data
maxmemory-policy noeviction
{{- with .Values.redis.maxmemory }}
maxmemory {{ . }}
{{- end }}
appendonly yes
appendfsync everysec
save ""
{{- end }}
