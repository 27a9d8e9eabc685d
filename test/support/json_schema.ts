/** JSON SCHEMA: says where a value is not what a schema promises; of the keywords that the admin API's document has, and it throws at
 *  any other. A field that no schema mentions is a fault too: what is answered has to be described. Owns nothing. */

type Schema = Readonly<Record<string, unknown>>;

const KNOWN = new Set(
  '$ref type enum properties required items minItems maxItems minimum maximum maxLength format description default allOf'.split(
    ' ',
  ),
);

/** @param root the whole document, for `$ref`
 *  @returns one line for each fault */
export function faultsOf(value: unknown, schema: unknown, root: unknown, at = '$'): readonly string[] {
  const resolved = whole(schema, root);
  for (const keyword of Object.keys(resolved)) if (!KNOWN.has(keyword)) throw new Error(`${at}: keyword ${keyword}`);
  const faults: string[] = [];
  const { type, enum: values, minimum, maximum, maxLength, format } = resolved;
  if (typeof type === 'string' && !isOfType(value, type)) return [`${at}: ${JSON.stringify(value)} is no ${type}`];
  if (Array.isArray(values) && !values.includes(value))
    faults.push(`${at}: ${JSON.stringify(value)} is none of ${values}`);
  if (typeof minimum === 'number' && Number(value) < minimum) faults.push(`${at}: ${value} is below ${minimum}`);
  if (typeof maximum === 'number' && Number(value) > maximum) faults.push(`${at}: ${value} is above ${maximum}`);
  if (typeof maxLength === 'number' && String(value).length > maxLength) faults.push(`${at}: is too long`);
  if (format === 'date-time' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(String(value)))
    faults.push(`${at}: ${value} is no time in UTC`);
  if (Array.isArray(value)) faults.push(...itemFaults(value, resolved, root, at));
  else if (typeof value === 'object' && value !== null) faults.push(...fieldFaults(value, resolved, root, at));
  return faults;
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function itemFaults(
  value: readonly unknown[],
  { items, minItems, maxItems }: Schema,
  root: unknown,
  at: string,
): string[] {
  const faults: string[] = [];
  if (typeof minItems === 'number' && value.length < minItems) faults.push(`${at}: has ${value.length} items`);
  if (typeof maxItems === 'number' && value.length > maxItems) faults.push(`${at}: has ${value.length} items`);
  return [...faults, ...value.flatMap((item, index) => faultsOf(item, items, root, `${at}[${index}]`))];
}

function fieldFaults(value: object, { properties, required }: Schema, root: unknown, at: string): string[] {
  const known = new Map(Object.entries(Object(properties)));
  const missing = Array.isArray(required) ? required.filter((name) => !Object.hasOwn(value, name)) : [];
  return [
    ...missing.map((name) => `${at}.${name}: is missing`),
    ...Object.entries(value).flatMap(([name, field]) =>
      known.has(name) ? faultsOf(field, known.get(name), root, `${at}.${name}`) : [`${at}.${name}: is not described`],
    ),
  ];
}

/** With `$ref` followed and the parts of `allOf` joined. */
function whole(schema: unknown, root: unknown): Schema {
  const given: Schema = Object(schema);
  if (typeof given.$ref === 'string') return whole(followed(given.$ref, root), root);
  if (!Array.isArray(given.allOf)) return given;
  const parts = given.allOf.map((part) => whole(part, root));
  return {
    type: 'object',
    properties: Object.assign({}, ...parts.map(({ properties }) => properties)),
    required: parts.flatMap(({ required }) => (Array.isArray(required) ? required : [])),
  };
}

export function followed(ref: string, root: unknown): unknown {
  return ref
    .slice('#/'.length)
    .split('/')
    .reduce((value: unknown, part) => Reflect.get(Object(value), part), root);
}
