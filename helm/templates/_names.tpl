{{/* Names and labels. */}}

{{- define "eventrelay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "eventrelay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "eventrelay.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: what a selector may ask for. Takes root and role. */}}
{{- define "eventrelay.selector" -}}
app.kubernetes.io/name: {{ include "eventrelay.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* All labels of an object. Takes root and role. */}}
{{- define "eventrelay.labels" -}}
{{- $own := fromYaml (include "eventrelay.selector" .) -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "eventrelay" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own (.root.Values.commonLabels | default dict)) -}}
{{- end -}}

{{- define "eventrelay.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- if $image.registry }}{{ $name = printf "%s/%s" $image.registry $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "eventrelay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "eventrelay.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Port of the admin listener of a role. */}}
{{- define "eventrelay.adminPort" -}}
{{- ternary 9465 9464 (eq . "relay") -}}
{{- end -}}

{{/* HTTPS where config.admin.tls is given, else HTTP. */}}
{{- define "eventrelay.adminScheme" -}}
{{- $admin := .Values.config.admin | default dict -}}
{{- ternary "HTTPS" "HTTP" (not (empty $admin.tls)) -}}
{{- end -}}

{{/* Enabled roles, as a JSON list. */}}
{{- define "eventrelay.roles" -}}
{{- $roles := list -}}
{{- range $role := list "ingest" "relay" "control" -}}
{{- if (index $.Values $role).enabled }}{{ $roles = append $roles $role }}{{ end -}}
{{- end -}}
{{- toJson $roles -}}
{{- end -}}
