// Preload (node --require) for servers that listen on every interface: they
// listen on loopback only, and say where on stdout:
//   peer ready http://127.0.0.1:PORT
'use strict';
const net = require('node:net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const [first, ...rest] = args;
  if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
    const callback = rest.find((arg) => typeof arg === 'function');
    args = [{ port: Number(first), host: '127.0.0.1' }, ...(callback ? [callback] : [])];
  } else if (first !== null && typeof first === 'object' && 'port' in first) {
    args = [{ ...first, host: '127.0.0.1' }, ...rest];
  }
  this.once('listening', () => {
    const at = this.address();
    if (at && typeof at === 'object') process.stdout.write(`peer ready http://127.0.0.1:${at.port}\n`);
  });
  return listen.apply(this, args);
};
