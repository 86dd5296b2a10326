{{/* What the pods of all roles share. Each takes root and role. */}}

{{/* Restricted Pod Security Standard, for a container. */}}
{{- define "eventrelay.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "eventrelay.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "eventrelay.pullSecrets" -}}
{{- range .Values.image.pullSecrets }}
- name: {{ . }}
{{- end }}
{{- end -}}

{{- define "eventrelay.configMapName" -}}
{{- .Values.existingConfigMap | default (printf "%s-config" (include "eventrelay.fullname" .)) -}}
{{- end -}}

{{/* Command line of a role. What the chart itself must know is given here, so that it also holds
     over a file of the user's own. */}}
{{- define "eventrelay.arguments" -}}
{{- $section := ternary "relay" "ingest" (eq .role "relay") -}}
{{- $own := index (.root.Values.config | default dict) $section | default dict -}}
{{- $listen := printf "0.0.0.0:%s" (include "eventrelay.adminPort" .role) -}}
- --config
- /etc/eventrelay/config.yaml
- --set
- admin.listen={{ $listen }}
{{- if $own.admin }}
- --set
- {{ $section }}.admin.listen={{ $listen }}
{{- end }}
{{- if .root.Values.admin.existingSecret }}
- --set
- admin.token_file=/run/secrets/eventrelay/admin-token
{{- else }}
- --set
- admin.open=[metrics]
{{- end }}
{{- if ne .role "relay" }}
- --set
- ingest.listen=0.0.0.0:8080
{{- end }}
{{- if .root.Values.control.enabled }}
{{- if ne .role "relay" }}
- --set
- control.enabled={{ eq .role "control" }}
{{- end }}
{{- end }}
{{- if and (eq .role "relay") (eq .root.Values.relay.workload "StatefulSet") }}
- --set
- kafka.group.instance.id=$(POD_NAME)
{{- end }}
{{- if eq .root.Values.reload "watch" }}
- --watch
{{- end }}
{{- end -}}

{{- define "eventrelay.probes" -}}
{{- $port := "admin" -}}
{{- $scheme := include "eventrelay.adminScheme" .root -}}
startupProbe:
  httpGet: {path: /healthz, port: admin, scheme: {{ $scheme }}}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /healthz, port: admin, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* Secrets as files, all in one place. Takes root, and test (whether the test's key is wanted). */}}
{{- define "eventrelay.secretSources" -}}
{{- range $name, $from := .root.Values.secretFiles }}
- secret:
    name: {{ $from.secret }}
    items: [{key: {{ $from.key | quote }}, path: {{ $name | quote }}}]
{{- end }}
{{- if .root.Values.admin.existingSecret }}
- secret:
    name: {{ .root.Values.admin.existingSecret }}
    items: [{key: {{ .root.Values.admin.key | quote }}, path: admin-token}]
{{- end }}
{{- if and .root.Values.test.enabled .root.Values.test.existingSecret }}
- secret:
    name: {{ .root.Values.test.existingSecret }}
    items: [{key: {{ .root.Values.test.key | quote }}, path: helm-test}]
{{- end }}
{{- end -}}

{{- define "eventrelay.mounts" -}}
- name: config
  mountPath: /etc/eventrelay
  readOnly: true
{{- if include "eventrelay.secretSources" . }}
- name: secrets
  mountPath: /run/secrets/eventrelay
  readOnly: true
{{- end }}
{{- end -}}

{{- define "eventrelay.volumes" -}}
- name: config
  configMap:
    name: {{ include "eventrelay.configMapName" .root }}
    items: [{key: config.yaml, path: config.yaml}]
{{- if include "eventrelay.secretSources" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "eventrelay.secretSources" . | trim | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "eventrelay.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "eventrelay.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "eventrelay.podMetadata" -}}
{{- $values := index .root.Values .role -}}
{{- /* Without the chart's version: a new chart alone is no reason to restart. */ -}}
labels: {{- toYaml (merge (omit (fromYaml (include "eventrelay.labels" .)) "helm.sh/chart") $values.podLabels) | nindent 2 }}
{{- $annotations := deepCopy $values.podAnnotations -}}
{{- if and (not .root.Values.existingConfigMap) (eq .root.Values.reload "rollout") -}}
{{- $_ := set $annotations "checksum/config" (include "eventrelay.config" .root | sha256sum) -}}
{{- end -}}
{{- if $annotations }}
annotations: {{- toYaml $annotations | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The pod of a role. */}}
{{- define "eventrelay.pod" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .role -}}
metadata: {{- include "eventrelay.podMetadata" . | nindent 2 }}
spec:
  serviceAccountName: {{ include "eventrelay.serviceAccount" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "eventrelay.grace" . }}
  securityContext: {{- include "eventrelay.podSecurityContext" . | nindent 4 }}
  {{- with include "eventrelay.pullSecrets" .root }}
  imagePullSecrets:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- if eq .role "relay" }}
  dnsConfig:
    # A callback's name is asked for as it stands, not with each search domain behind it first.
    options: [{name: ndots, value: "2"}]
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if $values.topologySpreadConstraints }}
    {{- toYaml $values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- include "eventrelay.spread" . | trim | nindent 4 }}
    {{- end }}
  containers:
    - name: {{ .role }}
      image: {{ include "eventrelay.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [/usr/bin/eventrelay-{{ ternary "relay" "ingest" (eq .role "relay") }}]
      args: {{- include "eventrelay.arguments" . | nindent 8 }}
      {{- $member := and (eq .role "relay") (eq .root.Values.relay.workload "StatefulSet") }}
      {{- if or $member $values.extraEnv }}
      env:
        {{- if $member }}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- end }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if ne .role "relay" }}
        - {name: http, containerPort: 8080, protocol: TCP}
        {{- end }}
        - {name: admin, containerPort: {{ include "eventrelay.adminPort" .role }}, protocol: TCP}
      {{- include "eventrelay.probes" . | nindent 6 }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      securityContext: {{- include "eventrelay.securityContext" . | nindent 8 }}
      volumeMounts:
        {{- include "eventrelay.mounts" . | nindent 8 }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- range $values.extraContainers }}
    - {{- toYaml (merge (deepCopy .) (dict "securityContext" (fromYaml (include "eventrelay.securityContext" $root)))) | nindent 6 }}
    {{- end }}
  volumes:
    {{- include "eventrelay.volumes" . | nindent 4 }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
