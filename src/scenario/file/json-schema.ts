import { z } from 'zod';
import { scenarioSchema } from './scenario-schema.js';
import { timeForms } from './schema-parts.js';

/** The part of JSON Schema (2020-12) that scenario files need. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly required?: readonly string[];
}

/** The JSON schema of scenario files. */
export interface ScenarioJsonSchema extends JsonSchema {
  readonly $schema: string;
  readonly title: string;
  readonly $defs: Readonly<Record<string, JsonSchema>>;
}

/**
 * The JSON schema of scenario files, for editors. It accepts more than `parseScenario`: it does not check references
 * and combinations of fields. A parameter (`${threads}`) is allowed anywhere, but an editor that checks numbers
 * strictly reports it.
 */
export function scenarioJsonSchema(): ScenarioJsonSchema {
  const defs: Record<string, JsonSchema> = {};
  const names = new Map<z.core.$ZodType, string>();

  const named = (lazy: z.ZodLazy): JsonSchema => {
    const known = names.get(lazy);
    if (known !== undefined) return { $ref: `#/$defs/${known}` };
    const name = `hold-${names.size + 1}`;
    names.set(lazy, name);
    defs[name] = of(lazy._zod.def.getter());
    return { $ref: `#/$defs/${name}` };
  };

  const of = (schema: z.core.$ZodType): JsonSchema => {
    if (schema instanceof z.ZodOptional) return of(schema._zod.def.innerType);
    if (schema instanceof z.ZodLazy) return named(schema);
    if (schema instanceof z.ZodPipe) {
      const { in: from, out: to } = schema._zod.def;
      if (!(to instanceof z.ZodTransform)) return of(to);
      return timeForms.get(to) ?? of(from);
    }
    if (schema instanceof z.ZodObject) return objectOf(schema);
    if (schema instanceof z.ZodRecord) {
      const { keyType, valueType } = schema._zod.def;
      const value = of(valueType);
      if (!(keyType instanceof z.ZodEnum)) return { type: 'object', additionalProperties: value };
      const properties = Object.fromEntries(keyType.options.map((name) => [String(name), value]));
      return { type: 'object', properties, additionalProperties: false };
    }
    if (schema instanceof z.ZodArray) return { type: 'array', items: of(schema._zod.def.element) };
    if (schema instanceof z.ZodUnion) return { anyOf: schema._zod.def.options.map(of) };
    if (schema instanceof z.ZodEnum) return { enum: schema.options };
    if (schema instanceof z.ZodLiteral) return { const: [...schema.values][0] };
    if (schema instanceof z.ZodNumber)
      return { type: 'integer', minimum: schema.minValue ?? 0, maximum: schema.maxValue ?? Number.MAX_SAFE_INTEGER };
    if (schema instanceof z.ZodBoolean) return { type: 'boolean' };
    if (schema instanceof z.ZodString) return { type: 'string' };
    return {};
  };

  const objectOf = (schema: z.ZodObject): JsonSchema => {
    const shape = Object.entries(schema.shape as Readonly<Record<string, z.core.$ZodType>>);
    return {
      type: 'object',
      properties: Object.fromEntries(shape.map(([name, value]) => [name, of(value)])),
      // Extension fields, for the author of the file.
      patternProperties: { '^x-': {} },
      additionalProperties: false,
      required: shape.flatMap(([name, value]) => (value instanceof z.ZodOptional ? [] : [name])),
    };
  };

  const file = of(scenarioSchema);
  const parameters: JsonSchema = {
    type: 'object',
    additionalProperties: { anyOf: [{ type: 'number' }, { type: 'string' }, { type: 'boolean' }] },
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A scenario of normalworld',
    ...file,
    properties: { ...file.properties, parameters },
    $defs: defs,
  };
}
