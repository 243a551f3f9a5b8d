/**
 * Ollama's templates for the chat formats that are common, found by a mark in the file's own (Jinja) template. One that is
 * not known is better without: a wrong one is worse than none.
 */
const templates: readonly (readonly [mark: string, template: string])[] = [
  [
    '<|im_start|>',
    '{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n',
  ],
  [
    '<|start_header_id|>',
    '{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}' +
      '<|start_header_id|>assistant<|end_header_id|>\n\n',
  ],
  [
    '<start_of_turn>',
    '{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}user{{ end }}\n{{ .Content }}' +
      '<end_of_turn>\n{{ end }}<start_of_turn>model\n',
  ],
];

export const templateFor = (chatTemplate: string | undefined): string | null =>
  templates.find(([mark]) => chatTemplate?.includes(mark))?.[1] ?? null;
