{{- define "agent.labels" -}}
app.kubernetes.io/name: pilothouse-agent
app.kubernetes.io/managed-by: pilothouse
app.kubernetes.io/part-of: pilothouse
{{- end }}

{{- define "agent.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace }}
labels:
  {{- include "agent.labels" . | nindent 2 }}
{{- end }}

{{- /* The file that the agent reads. Its text is the same as that of `print-manifests`. */ -}}
{{- define "agent.config" -}}
cluster: {{ required "cluster: write the name that this cluster is known by" .Values.cluster | quote }}
author:
  name: {{ required "author.name: write a name for its commits" .Values.author.name | quote }}
  email: {{ required "author.email: write an address for its commits" .Values.author.email | quote }}
projects:{{ if not .Values.projects }} []{{ end }}
{{- range .Values.projects }}
- namespace: {{ .namespace | quote }}
  id: {{ .id | quote }}
  url: {{ .url | quote }}
  branch: {{ .branch | default "" | quote }}
  credential: {{ .credential | quote }}
{{- end }}
triggers:{{ if not .Values.triggers }} []{{ end }}
{{- range .Values.triggers }}
- namespace: {{ .namespace | quote }}
  target: {{ .target | quote }}
  kind: {{ .kind | quote }}
  respectDisruptionBudget: {{ .respectDisruptionBudget | default false }}
{{- end }}
{{ end }}

{{- define "agent.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "agent.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: pilothouse-agent
  namespace: {{ .agent }}
{{- end }}
