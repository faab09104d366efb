// Compressed messages with Chromium, against a running `ws13 serve echo --compress`:
//
//     node deflate.mjs http://127.0.0.1:PORT/ [console]
//
// With `console` its page is looked at, too; a program with the library in it has none. One line a check, exit code 1 when one fails. CHROMIUM names the browser, /usr/bin/chromium where it does not.

import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const address = process.argv[2];
const withConsole = process.argv[3] === 'console';
if (!address) {
  console.error('usage: node deflate.mjs http://127.0.0.1:PORT/ [console]');
  process.exit(2);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
const page = await browser.newPage();
await page.goto(address);
const results = await page.evaluate(echo, address.replace('http:', 'ws:'));
if (withConsole) results.push(...await console_(page));
await browser.close();
for (const [name, right] of results) console.log(`${right ? 'ok' : 'not ok'} - ${name}`);
const failed = results.filter(([, right]) => !right).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

// The console page itself shows what was agreed on, and what the server says that it saves.
async function console_(page) {
  await page.click('#connect');
  await page.fill('#message', 'the same again and again, '.repeat(100));
  await page.press('#message', 'Enter');
  const shown = page.waitForFunction(() => / on the wire for .* of messages: \d+ %$/.test(document.getElementById('compression').textContent),
    null, { timeout: 10_000 });
  const told = await shown.then(() => true, () => false);
  const extensions = await page.locator('#extensions').textContent();
  return [['the console page shows the extension', extensions === 'permessage-deflate'], ['and what it saves', told]];
}

// Runs in the page: sends messages of many sorts, wants each back as it was.
async function echo(url) {
  const json = length => {
    let text = '';
    for (let i = 0; text.length < length; i++) text += `{"id":${i * 7919},"name":"sensor-${i % 13}","tags":["a","room"]},`;
    return text.slice(0, length);
  };
  const noise = crypto.getRandomValues(new Uint8Array(50_000));
  const texts = ['', 'hi', json(64), json(264), json(264), 'grüße, 世界, 🍪'.repeat(100), json(20_000), json(264),
    'x'.repeat(1_000_000), json(500_000), json(300)];
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const waiting = [];
  socket.onmessage = ({ data }) => waiting.shift()?.(data);
  socket.onclose = () => waiting.splice(0).forEach(tell => tell(null));
  const next = () => new Promise(tell => waiting.push(tell));
  await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });
  const results = [['permessage-deflate is agreed', socket.extensions === 'permessage-deflate']];
  for (const text of texts) {
    socket.send(text);
    results.push([`${text.length} characters come back`, await next() === text]);
  }
  socket.send(noise);
  const back = new Uint8Array(await next());
  results.push(['random bytes come back', back.length === noise.length && back.every((byte, i) => byte === noise[i])]);
  const burst = Array.from({ length: 500 }, (_, i) => json(10 * i));
  const answers = Promise.all(burst.map(next));
  for (const text of burst) socket.send(text);
  results.push(['a burst of 500 comes back in order', (await answers).every((answer, i) => answer === burst[i])]);
  const closed = new Promise(tell => { socket.onclose = tell; });
  socket.close(4001, 'enough');
  const { code, reason, wasClean } = await closed;
  results.push(['it closes cleanly', wasClean && code === 4001 && reason === 'enough']);
  return results;
}
