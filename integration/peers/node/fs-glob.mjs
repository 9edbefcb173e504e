// The conformance suite imports fs.globSync, which Node has from version 22 on
// and which its `server` command never calls. On an older Node this resolve
// hook gives it an `fs` that has the name. Use: node --import ./fs-glob.mjs …
import { register } from 'node:module';
import * as fs from 'node:fs';

if (!('globSync' in fs)) {
  const shim = `export * from 'node:fs'; export { default } from 'node:fs';
export function globSync() { throw new Error('fs.globSync needs Node 22'); }`;
  const shimURL = 'data:text/javascript,' + encodeURIComponent(shim);
  const hook = `export function resolve(specifier, context, next) {
  return specifier === 'fs' ? { url: ${JSON.stringify(shimURL)}, shortCircuit: true } : next(specifier, context);
}`;
  register('data:text/javascript,' + encodeURIComponent(hook));
}
