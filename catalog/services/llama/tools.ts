import type { Tool } from './contract.ts';
import { badParam, isApiError } from './errors.ts';
import { isObject, type Json, type JsonObject } from './json.ts';
import { nearest } from './nearest.ts';
import { flag, list, object, oneOf, parse, refused, required, text, type Field } from './params.ts';
import { grammarSchema, loosen, notes } from './schema.ts';

/** What OpenAI allows in a name; templates put it between quotes of their own. */
const toolName: Field<string> = (value, param) => {
  const name = text(value, param);
  if (/^[\w.-]{1,64}$/.test(name)) return name;
  throw badParam(param, `Invalid '${param}': letters, digits, _, . and -, at most 64 of them.`, 'invalid_value');
};

const functionFields = { name: toolName, description: text, parameters: object, strict: flag } as const;

const tool: Field<Tool> = (value, param) => {
  const { type } = object(value, param);
  if (typeof type === 'string' && type !== 'function') {
    throw badParam(`${param}.type`, `Unsupported tool type '${type.slice(0, 32)}' at '${param}': only functions are.`);
  }
  const outer = parse(object(value, param), { type: oneOf('function'), function: object }, `${param}.`);
  required(outer.type, `${param}.type`);
  const at = `${param}.function`;
  const read = parse(required(outer.function, at), functionFields, `${at}.`);
  const { description, parameters = {}, strict = false } = read;
  const given = `${at}.parameters`;
  return {
    name: required(read.name, `${at}.name`),
    ...(description === undefined ? {} : { description }),
    ...{ parameters, grammar: grammarOf(parameters, strict, given), param: given },
  };
};

/**
 * A strict tool's arguments keep its schema to the letter, or it is refused. Any other tool's keep to its structure:
 * what a grammar cannot hold (a pattern, a range) the model is only told, as OpenAI does it.
 */
function grammarOf(schema: JsonObject, strict: boolean, param: string): JsonObject | null {
  if (takesNothing(schema)) return null;
  return strict ? grammarSchema(schema, param) : structureOf(schema, param);
}

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

/** Where a schema has nothing but these and notes, its properties are all it says of the arguments. */
const plain = new Set(['type', 'properties', 'required', 'additionalProperties', '$defs', 'definitions']);

/**
 * Of the schema as the client wrote it: without the keywords that a grammar cannot hold, one that says everything in
 * `allOf` or behind a reference looks the same as one that says nothing.
 */
function takesNothing(schema: JsonObject): boolean {
  const { type = 'object', properties, required, additionalProperties } = schema;
  if (type !== 'object' || additionalProperties === true || isObject(additionalProperties)) return false;
  if (!isEmpty(properties) || !isEmpty(required)) return false;
  return Object.keys(schema).every((key) => plain.has(key) || notes.has(key));
}

/** For arguments of whose structure no grammar is left. */
const anyObject: JsonObject = { type: 'object', additionalProperties: true };

function structureOf(schema: JsonObject, param: string): JsonObject {
  try {
    const held = grammarSchema(loosen(schema), param);
    // It would hold to no arguments at all, though the client asked for some in a way that is not held to.
    return isEmpty(held['properties']) && held['additionalProperties'] === false ? anyObject : held;
  } catch (error) {
    if (!isApiError(error)) throw error;
    return anyObject;
  }
}

const tools: Field<readonly Tool[]> = (value, param) => {
  const read = list(tool, { max: 128 })(value, param);
  const names = read.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw badParam(param, `Invalid '${param}': two tools are called '${twice}'.`);
  return read;
};

type Mode = 'none' | 'auto' | 'required';

export interface Choice {
  readonly mode: Mode;
  /** Only these; undefined for all. */
  readonly names?: readonly string[];
  readonly one?: boolean;
}

const named: Field<string> = (value, param) =>
  required(parse(object(value, param), { name: toolName }, `${param}.`).name, `${param}.name`);

const reference: Field<string> = (value, param) => {
  const read = parse(object(value, param), { type: oneOf('function'), function: named }, `${param}.`);
  required(read.type, `${param}.type`);
  return required(read.function, `${param}.function`);
};

const allowed: Field<Choice> = (value, param) => {
  const fields = { mode: oneOf('auto', 'required'), tools: list(reference, { min: 1 }) };
  const read = parse(object(value, param), fields, `${param}.`);
  return { mode: required(read.mode, `${param}.mode`), names: required(read.tools, `${param}.tools`) };
};

const toolChoice: Field<Choice> = (value, param) => {
  if (typeof value === 'string') return { mode: oneOf('none', 'auto', 'required')(value, param) };
  const fields = { type: oneOf('function', 'allowed_tools'), function: named, allowed_tools: allowed };
  const read = parse(object(value, param), fields, `${param}.`);
  if (required(read.type, `${param}.type`) === 'allowed_tools')
    return required(read.allowed_tools, `${param}.allowed_tools`);
  return { mode: 'required', names: [required(read.function, `${param}.function`)], one: true };
};

const older = 'it is the older form of tools: send those';

export const toolFields = {
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: flag,
  functions: refused(older, []),
  function_call: refused(older, 'none', 'auto'),
} as const;

/** What an answer may or must call. */
export interface ToolUse {
  readonly tools: readonly Tool[];
  /** The answer begins with a call. */
  readonly forced: boolean;
  /** Calls in one answer at most. */
  readonly most: number;
}

/** A small model may go on calling for ever. */
const mostCalls = 16;

/**
 * Undefined where no tool is in play.
 * @throws a 400 where the choice names a tool that is not there.
 */
export function toolUseOf(params: {
  readonly tools?: readonly Tool[] | undefined;
  readonly tool_choice?: Choice | undefined;
  readonly parallel_tool_calls?: boolean | undefined;
}): ToolUse | undefined {
  const { tools: offered = [], tool_choice: choice, parallel_tool_calls: parallel = true } = params;
  if (offered.length === 0) {
    if (choice && choice.mode !== 'none')
      throw badParam('tool_choice', "'tool_choice' is only allowed when 'tools' are given.");
    return undefined;
  }
  if (choice?.mode === 'none') return undefined;
  const usable = choice?.names ? choice.names.map((name) => find(offered, name)) : offered;
  return { tools: usable, forced: choice?.mode === 'required', most: choice?.one || !parallel ? 1 : mostCalls };
}

function find(offered: readonly Tool[], name: string): Tool {
  const found = offered.find((one) => one.name === name);
  if (found) return found;
  const meant = nearest(
    name,
    offered.map((one) => one.name),
  );
  const hint = meant === undefined ? '' : ` Did you mean '${meant}'?`;
  throw badParam('tool_choice', `Invalid 'tool_choice': no tool is called '${name}'.${hint}`, 'invalid_value');
}

/** The arguments of a call in an earlier turn: a string of JSON, as OpenAI writes them. */
export const callArguments: Field<JsonObject> = (value, param) => {
  const given = text(value, param);
  if (given.trim() === '') return {};
  let read: Json | undefined;
  try {
    read = JSON.parse(given) as Json;
  } catch {
    read = undefined;
  }
  if (isObject(read)) return read;
  throw badParam(param, `Invalid '${param}': a string with a JSON object wanted.`, 'invalid_value');
};
