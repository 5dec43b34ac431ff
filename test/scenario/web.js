// web.js: the web server of the chain: passes each request on to the product service, and gives up after its timeout.
//   node web.js LISTEN_PORT PRODUCT_PORT TIMEOUT_MS
'use strict';
const http = require('http');
const [port, productPort, timeout] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });

function fail(res, status, text) {
  if (res.headersSent || res.destroyed) return;
  res.writeHead(status, { 'content-type': 'text/plain' });
  res.end(text + '\n');
}

const server = http.createServer((req, res) => {
  const up = http.request({ host: '127.0.0.1', port: productPort, path: req.url, method: req.method, agent }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('error', () => fail(res, 502, 'the product service broke off'));
    answer.on('end', () => {
      clearTimeout(timer);
      if (res.headersSent) return;
      res.writeHead(answer.statusCode, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ web: true, body: Buffer.concat(parts).toString() }));
    });
  });
  const timer = setTimeout(() => { fail(res, 504, 'the product service did not answer in time'); up.destroy(); }, timeout);
  up.on('error', () => { clearTimeout(timer); fail(res, 502, 'no product service'); });
  res.on('close', () => { if (!res.writableEnded) { clearTimeout(timer); up.destroy(); } });
  req.resume();
  up.end();
});
server.keepAliveTimeout = 60000;
server.listen(port, '127.0.0.1');
