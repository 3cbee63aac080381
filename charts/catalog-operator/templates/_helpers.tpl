{{- define "catalog-operator.labels" -}}
{{ include "catalog-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: catalog
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "catalog-operator.selector" -}}
app.kubernetes.io/name: catalog-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "catalog-operator.account" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- /* Name of cluster-scoped objects, which must be unique per release. */ -}}
{{- define "catalog-operator.role" -}}
{{ printf "%s-%s" .Release.Namespace .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
