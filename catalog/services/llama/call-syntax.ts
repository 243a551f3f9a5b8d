import type { CallSyntax } from './contract.ts';
import type * as llamaCpp from './llama-cpp.ts';

/** Calls as the model's own template writes them, or in the library's form where it knows none. */
export function callSyntax(
  library: llamaCpp.NodeLlamaCpp,
  model: llamaCpp.Model,
  { settings }: llamaCpp.ChatWrapper,
): CallSyntax {
  const { call, parallelism } = settings.functions;
  const { sectionPrefix = '', betweenCalls = '' } = parallelism?.call ?? {};
  const beforeArguments = (name: string) =>
    library
      .LlamaText(call.paramsPrefix)
      .mapValues((value) => (typeof value === 'string' ? value.replaceAll('{{functionName}}', name) : value));
  const opening = (index: number) => [index === 0 ? sectionPrefix : betweenCalls, call.prefix];
  return {
    marker: markerOf(library.LlamaText([sectionPrefix, call.prefix]).toString()),
    tokens({ text, calls, open }) {
      const whole = calls.flatMap(({ name, json }, index) => [
        ...opening(index),
        ...[name, beforeArguments(name), json, call.suffix],
      ]);
      const begun = open === undefined ? [] : opening(calls.length);
      const named = open === undefined || open === '' ? [] : [open, beforeArguments(open)];
      return library.LlamaText([text, ...whole, ...begun, ...named]).tokenize(model.tokenizer);
    },
  };
}

/** Models vary the blanks in what a call begins with: its first word is enough to know it by, where it is a mark. */
export function markerOf(opening: string): string {
  const mark = /^\s*([^\s{["]+)/.exec(opening)?.[1];
  return mark ?? opening.trim();
}
