{{/* What the schema of the values cannot say. Each refusal is one sentence: what is wrong, and what to do. */}}
{{- define "autellix.validate" -}}
{{- $external := .Values.externalRedis -}}
{{- $given := or $external.url $external.host $external.urlKey -}}
{{- if and .Values.redis.enabled $given -}}
{{- fail "externalRedis is given while redis.enabled is true: set redis.enabled=false to use the external one, or leave externalRedis empty." -}}
{{- end -}}
{{- if not (or .Values.redis.enabled $given) -}}
{{- fail "no Redis is given: set redis.enabled=true, or externalRedis.host, externalRedis.url or externalRedis.urlKey." -}}
{{- end -}}
{{- if and $external.url $external.host -}}
{{- fail "externalRedis.url and externalRedis.host are both given: leave one of them empty." -}}
{{- end -}}
{{- if and $external.urlKey (or $external.url $external.host) -}}
{{- fail "externalRedis.urlKey names the key of a whole URL: leave externalRedis.url and externalRedis.host empty with it." -}}
{{- end -}}
{{- if and $external.urlKey (not $external.existingSecret) -}}
{{- fail "externalRedis.urlKey is given without externalRedis.existingSecret: name the Secret that holds it." -}}
{{- end -}}
{{- if and $external.tls.enabled $external.url (not (hasPrefix "rediss://" $external.url)) -}}
{{- fail "externalRedis.tls.enabled is true, yet externalRedis.url does not begin with rediss://: change one of them." -}}
{{- end -}}
{{- if and $external.tls.caSecret (not (or $external.tls.enabled (hasPrefix "rediss://" $external.url) $external.urlKey)) -}}
{{- fail "externalRedis.tls.caSecret is given without TLS: set externalRedis.tls.enabled=true." -}}
{{- end -}}
{{- with .Values.gateway.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "gateway.autoscaling.minReplicas (%d) is more than gateway.autoscaling.maxReplicas (%d)." (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.gateway.podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- fail "gateway.podDisruptionBudget has both minAvailable and maxUnavailable: set the other one to null." -}}
{{- end -}}
{{- end -}}
{{- range $name, $pool := .Values.pools -}}
{{- if gt (len $name) 56 -}}
{{- fail (printf "the name of pools.%s is longer than 56 characters, so its Deployment's (NAME-engine) would be longer than 63: shorten it." $name) -}}
{{- end -}}
{{- if and (eq (dig "engine" "kind" "vllm" $pool) "vllm") (not (dig "model" "source" "" $pool)) -}}
{{- fail (printf "pools.%s.model.source is not given: engines of kind vllm load a model, from a directory in the container or the hub." $name) -}}
{{- end -}}
{{- with $pool.scaling -}}
{{- if and (hasKey . "minReplicas") (hasKey . "maxReplicas") (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "pools.%s.scaling.minReplicas (%d) is more than its maxReplicas (%d)." $name (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
