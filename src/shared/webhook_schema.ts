/** WEBHOOK SCHEMA: what a webhook is asked and what it may answer, as JSON Schema. Both are written and read in worker/auth; a
 *  test holds the schema to that. Pure. */
import { type JsonSchema, limitsSchema } from './config_schema.js';

const TEXT = { type: 'string' };
const PATTERNS = { type: 'array', items: { type: 'string', pattern: '^/|:' } };

/** Draft 2020-12: an object with the schema of the question and that of the answer. */
export function webhookSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Sallyport webhook',
    $defs: { question: questionSchema(), answer: answerSchema() },
  };
}

/** Later versions may add keys, so that others are allowed. */
function questionSchema(): JsonSchema {
  const method = { enum: ['publickey', 'password'] };
  return {
    type: 'object',
    properties: {
      version: { const: 1 },
      user: { ...TEXT, description: 'As it was given at the login; not proven' },
      peer: { type: 'object', properties: { address: TEXT, port: { type: 'integer' } }, required: ['address', 'port'] },
      method,
      checked: { type: 'boolean', description: 'The config knows this key or password, and it is right' },
      password: { ...TEXT, description: 'Left out where it was checked' },
      verified: { type: 'boolean', description: 'False: the key is only offered, and a yes lets nobody in' },
      key: {
        type: 'object',
        properties: { type: TEXT, algorithm: TEXT, fingerprint: TEXT, line: TEXT },
        required: ['type', 'algorithm', 'fingerprint', 'line'],
      },
      certificate: {
        type: 'object',
        description: 'Of the key, where it came in one; its CA is trusted and the user among its principals',
        properties: { keyId: TEXT, serial: { ...TEXT, pattern: '^[0-9]+$' }, caFingerprint: TEXT },
        required: ['keyId', 'serial', 'caFingerprint'],
      },
      before: {
        type: 'array',
        description: 'Methods of this login that have succeeded',
        items: { type: 'object', properties: { method, fingerprint: TEXT }, required: ['method'] },
      },
    },
    required: ['version', 'user', 'peer', 'method', 'checked', 'before'],
  };
}

function answerSchema(): JsonSchema {
  const ttl = {
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$' },
    ],
  };
  return {
    type: 'object',
    properties: {
      allow: { type: 'boolean' },
      user: { ...TEXT, minLength: 1, maxLength: 255, description: 'Under whom limits and ports are counted' },
      permitOpen: { ...PATTERNS, description: 'What is left of it; left out: all' },
      permitListen: { ...PATTERNS, description: 'What is left of it; left out: all' },
      limits: limitsSchema(),
      ttl: { ...ttl, description: 'Until the session is ended; a number is of seconds' },
      reason: { ...TEXT, description: 'Why not, for the log' },
    },
    required: ['allow'],
    additionalProperties: false,
  };
}
