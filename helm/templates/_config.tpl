{{/* The configuration file, what is refused of it, and what of the chart is made from it. */}}

{{/* The file as it is mounted: the chart's defaults under what config says. */}}
{{- define "eventrelay.config" -}}
{{- $config := deepCopy (.Values.config | default dict) -}}
{{- $kafka := $config.kafka | default dict -}}
{{- if not (hasKey $kafka "bootstrap.servers") -}}
{{- $_ := set $kafka "bootstrap.servers" "kafka:9092" -}}
{{- end -}}
{{- $_ := set $config "kafka" $kafka -}}
{{- if not (hasKey $config "version") }}{{ $_ := set $config "version" 1 }}{{ end -}}
{{- if and .Values.test.enabled .Values.test.existingSecret -}}
{{- if eq ($config.registry | default "file") "topic" -}}
{{- fail "test.existingSecret: the test's instance is added to config.instances, which config.registry: topic excludes; leave it empty" -}}
{{- end -}}
{{- $_ := set $config "sources" (merge (dict "helm-test" (dict "scheme" "standard" "keys" (list (dict "file" "/run/secrets/eventrelay/helm-test")))) ($config.sources | default dict)) -}}
{{- $_ := set $config "instances" (append ($config.instances | default list) (fromYaml (include "eventrelay.testInstance" .))) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "eventrelay.testInstance" -}}
id: {{ int64 .Values.test.instance }}
name: helm-test
element: helm-test
configuration:
  event.notification.enabled: true
  event.notification.callback.url: http://{{ include "eventrelay.fullname" . }}-test.{{ .Release.Namespace }}.svc:8080/
delivery:
  allow_http: true
  allow_private_addresses: true
{{- end -}}

{{/* One line for each path nobody provides and each secret written plainly. Takes value, path
     (parts joined by /), where (as a person writes it) and provided (paths that exist). */}}
{{- define "eventrelay.findings" -}}
{{- $in := . -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- include "eventrelay.findings" (dict "value" $value "path" (printf "%s/%s" $in.path $key) "where" (printf "%s.%s" $in.where $key) "provided" $in.provided) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "eventrelay.findings" (dict "value" $value "path" (printf "%s/%d" $in.path $index) "where" (printf "%s[%d]" $in.where $index) "provided" $in.provided) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if and (hasPrefix "/run/secrets/eventrelay/" .value) (eq (include "eventrelay.provides" .) "") -}}
{{- printf "%s: nothing provides %s; add it to secretFiles\n" .where .value -}}
{{- end -}}
{{- if and .value (regexMatch (include "eventrelay.secretPaths" .) .path) (not (regexMatch "^\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}$" .value)) -}}
{{- printf "%s: a secret written plainly; give it as {file: /run/secrets/eventrelay/NAME} with secretFiles.NAME, or as {env: NAME}\n" .where -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "eventrelay.provides" -}}
{{- $path := .value -}}
{{- range .provided -}}
{{- if or (eq . $path) (hasPrefix (printf "%s/" .) $path) }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{/* Where the configuration takes a secret; the words are those of the programs. */}}
{{- define "eventrelay.secretPaths" -}}
{{- $words := "(password|secret|token|passphrase|authorization|cookie|api\\.key|api-key|apikey)" -}}
{{- list
  "/kafka/[^/]*(password|secret|private\\.key|passphrase)[^/]*"
  "/kafka/(ssl\\.key\\.pem|ssl_key|sasl\\.oauthbearer\\.config|sasl\\.jaas\\.config)"
  "/sources/[^/]+/(keys/[0-9]+|token|v1/token)"
  "/seal/keys/[0-9]+/key"
  (printf "/instances/[0-9]+/configuration/([^/]*%s[^/]*|event\\.notification\\.signature\\.key|event\\.vendor\\.signature\\.key|event\\.vendor\\.signature\\.key\\.secondary)" $words)
  "/instances/[0-9]+/subscriptions/[0-9]+/key"
  (printf ".*/(delivery|delivery_defaults)/(keys/[0-9]+|auth/password|auth/client_secret|client_cert_pem|headers/[^/]*%s[^/]*)" $words)
  "/control/organizations/[0-9]+/(secret|accounts/[0-9]+/users/[0-9]+/secret)"
  | join "|" | printf "(?i)^(%s)$" -}}
{{- end -}}

{{/* Paths that pods have: the entries of secretFiles, the token, and what the user mounts. */}}
{{- define "eventrelay.providedPaths" -}}
{{- $paths := list -}}
{{- range $name, $_ := .Values.secretFiles }}{{ $paths = append $paths (printf "/run/secrets/eventrelay/%s" $name) }}{{ end -}}
{{- if .Values.admin.existingSecret }}{{ $paths = append $paths "/run/secrets/eventrelay/admin-token" }}{{ end -}}
{{- range $role := list "ingest" "relay" "control" -}}
{{- range (index $.Values $role).extraVolumeMounts }}{{ $paths = append $paths (.mountPath | trimSuffix "/") }}{{ end -}}
{{- end -}}
{{- toJson $paths -}}
{{- end -}}

{{/* Seconds of a duration such as 250ms, rounded up. Takes value and where. */}}
{{- define "eventrelay.seconds" -}}
{{- if not (regexMatch "^[0-9]+(ms|s|m|h|d)$" (toString .value)) -}}
{{- fail (printf "%s: must be a duration such as 30s; with a variable in it, the grace period of the pods can not be told" .where) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" .value | int64 -}}
{{- $unit := regexFind "[a-z]+$" .value -}}
{{- if eq $unit "ms" -}}
{{- div (add $number 999) 1000 -}}
{{- else -}}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) -}}
{{- end -}}
{{- end -}}

{{/* How long a pod of a role may take to end: what the program allows itself, and some more.
     Takes root and role. */}}
{{- define "eventrelay.grace" -}}
{{- $config := .root.Values.config | default dict -}}
{{- $given := int (index .root.Values .role).terminationGracePeriodSeconds -}}
{{- $needed := 0 -}}
{{- $why := "" -}}
{{- if eq .role "relay" -}}
{{- $relay := $config.relay | default dict -}}
{{- $drain := include "eventrelay.seconds" (dict "value" ($relay.drain_timeout | default "25s") "where" "config.relay.drain_timeout") | int -}}
{{- $needed = add $drain 5 | int -}}
{{- $why = printf "config.relay.drain_timeout (%d s) and 5 s to leave the group" $drain -}}
{{- else -}}
{{- $ingest := $config.ingest | default dict -}}
{{- $delay := include "eventrelay.seconds" (dict "value" ($ingest.drain_delay | default "5s") "where" "config.ingest.drain_delay") | int -}}
{{- $ack := include "eventrelay.seconds" (dict "value" ($ingest.ack_timeout | default "5s") "where" "config.ingest.ack_timeout") | int -}}
{{- $needed = add $delay $ack 6 | int -}}
{{- $why = printf "config.ingest.drain_delay (%d s), config.ingest.ack_timeout (%d s) and 6 s for the last answers" $delay $ack -}}
{{- end -}}
{{- if and (gt $given 0) (lt $given $needed) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d is below %d: %s" .role $given $needed $why) -}}
{{- end -}}
{{- ternary $given (add $needed 10 | int) (gt $given 0) -}}
{{- end -}}

{{/* Partitions of the main topic: members of the group beyond them would idle. */}}
{{- define "eventrelay.partitions" -}}
{{- $topics := .Values.config.topics | default dict -}}
{{- .Values.relay.autoscaling.partitions | default $topics.partitions | default 12 | int -}}
{{- end -}}

{{/* Every refusal that a schema can not say. */}}
{{- define "eventrelay.check" -}}
{{- if and .Values.config .Values.existingConfigMap -}}
{{- fail "config and existingConfigMap: give one of them, not both" -}}
{{- end -}}
{{- if eq (include "eventrelay.roles" .) "[]" -}}
{{- fail "ingest.enabled, relay.enabled and control.enabled: nothing is left to run" -}}
{{- end -}}
{{- range $name, $_ := .Values.secretFiles -}}
{{- if has $name (list "admin-token" "helm-test") }}{{ fail (printf "secretFiles.%s: the chart needs this name itself" $name) }}{{ end -}}
{{- end -}}
{{- $findings := include "eventrelay.findings" (dict "value" .Values.config "path" "" "where" "config" "provided" (fromJsonArray (include "eventrelay.providedPaths" .))) -}}
{{- if $findings }}{{ fail (printf "\n%s" $findings) }}{{ end -}}
{{- if not .Values.existingConfigMap -}}
{{- $size := len (include "eventrelay.config" .) -}}
{{- if gt $size 1048576 -}}
{{- fail (printf "config: %d bytes are more than a ConfigMap holds (1048576); keep the instances in Kafka: config.registry: topic, filled by `eventrelay registry import`" $size) -}}
{{- end -}}
{{- end -}}
{{- range $role := list "ingest" "relay" -}}
{{- $scale := (index $.Values $role).autoscaling -}}
{{- if and (ne $scale.type "none") (gt (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas: %d is above maxReplicas (%d)" $role (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- include "eventrelay.checkRelay" . -}}
{{- $control := .Values.config.control | default dict -}}
{{- if and $control.enabled (not .Values.control.enabled) -}}
{{- fail "config.control.enabled: one pod alone may run the control API; set control.enabled of the chart" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: ingress.enabled needs at least one {host: ..}" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: httpRoute.enabled needs a gateway" -}}
{{- end -}}
{{- range $kind := list "ingress" "httpRoute" -}}
{{- if and (index $.Values $kind).enabled (not $.Values.ingest.enabled) -}}
{{- fail (printf "%s.enabled: there is no ingest to lead to; ingest.enabled is false" $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "eventrelay.checkRelay" -}}
{{- $relay := .Values.relay -}}
{{- $kafka := .Values.config.kafka | default dict -}}
{{- $member := index $kafka "group.instance.id" | default "" | toString -}}
{{- $many := or (gt (int $relay.replicas) 1) (ne $relay.autoscaling.type "none") -}}
{{- if and $relay.enabled $member $many (not (contains "${" $member)) -}}
{{- fail "config.kafka.group.instance.id: one fixed id for many pods makes them throw each other out; use relay.workload: StatefulSet, which names each after its pod" -}}
{{- end -}}
{{- if and $relay.enabled (eq $relay.autoscaling.type "keda") -}}
{{- if and (index $kafka "sasl.mechanism" | default (index $kafka "sasl.mechanisms")) (not $relay.autoscaling.authenticationRef) -}}
{{- fail "relay.autoscaling.authenticationRef: config.kafka.sasl.mechanism is set, and keda needs the credentials too" -}}
{{- end -}}
{{- end -}}
{{- if and $relay.enabled (ne $relay.autoscaling.type "none") -}}
{{- $partitions := include "eventrelay.partitions" . | int -}}
{{- if gt (int $relay.autoscaling.minReplicas) $partitions -}}
{{- fail (printf "relay.autoscaling.minReplicas: %d is above the %d partitions of the main topic" (int $relay.autoscaling.minReplicas) $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}
