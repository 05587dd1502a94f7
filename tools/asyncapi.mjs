// Checks a document against the JSON Schema of AsyncAPI 3.0.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json');
const name = process.argv[2];
const ajv = new Ajv({ strict: false, logger: false });
addFormats(ajv);
const validate = ajv.compile(schema);
if (!validate(parse(readFileSync(name, 'utf8'), { strict: true, uniqueKeys: true }))) {
  for (const e of validate.errors) console.error(`${name}: ${e.instancePath || '/'} ${e.message}`);
  process.exit(1);
}
