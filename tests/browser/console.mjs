// Drives the console page in Chromium, as a user would, against a running
// `ws13 serve echo --subprotocol me-want-cookies`:
//
//     node console.mjs http://127.0.0.1:PORT/ [--screenshots DIR]
//     node console.mjs https://127.0.0.1:PORT/ --certificate PEM
//
// The browser takes that one certificate for a good one, and no other.
// One line a check, exit code 1 when one fails. CHROMIUM names the browser, /usr/bin/chromium where it does not.

import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const SUBPROTOCOL = 'me-want-cookies';
const SENTENCE = 'Me want cookies: ünïcödé, 世界, 🍪';
const BINARY = 'de ad be ef 00 ff';
const LARGE = 1_000_000; // bytes, under the server's limit of 1 MiB
const WAIT = 10_000; // ms for anything to happen
const WIDE = { width: 1400, height: 900 };
const NARROW = { width: 360, height: 780 };
// Nothing of the browser's own may reach for the network.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

const { positionals: [address], values: options } = parseArgs({
  allowPositionals: true,
  options: { screenshots: { type: 'string' }, certificate: { type: 'string' } },
});
if (!address) {
  console.error('usage: node console.mjs http://127.0.0.1:PORT/ [--screenshots DIR]');
  process.exit(2);
}

if (options.certificate) {
  const key = new X509Certificate(readFileSync(options.certificate)).publicKey.export({ type: 'spki', format: 'der' });
  FLAGS.push(`--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`);
}

const tally = { passed: 0, failed: 0 };

async function check(name, run) {
  try {
    await run();
    tally.passed += 1;
    console.log(`ok - ${name}`);
    return true;
  } catch (error) {
    tally.failed += 1;
    console.log(`not ok - ${name}: ${error.message.split('\n')[0]}`);
    return false;
  }
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
}

function holds(text, part, what) {
  if (!text.includes(part)) throw new Error(`${what} is ${JSON.stringify(text)}, without ${JSON.stringify(part)}`);
}

// What the page says and does, by its ids.
const text = (page, id) => page.locator(`#${id}`).textContent();

function reaches(page, state) {
  return page.waitForFunction((word) => document.getElementById('state').textContent.startsWith(word), state, { timeout: WAIT });
}

async function connect(page) {
  await page.fill('#subprotocols', SUBPROTOCOL);
  await page.click('#connect');
  await reaches(page, 'open');
}

async function disconnect(page, code, reason) {
  await page.fill('#close-code', code);
  await page.fill('#close-reason', reason);
  await page.click('#disconnect');
  await reaches(page, 'closed');
}

async function send(page, kind, message) {
  await page.check(`#kind-${kind}`);
  await page.fill('#message', message);
  await page.press('#message', 'Enter');
}

async function logged(page, direction, kind, size, payload) {
  const entry = page.locator(`#log [data-direction="${direction}"][data-kind="${kind}"][data-size="${size}"]`).first();
  await entry.waitFor({ timeout: WAIT });
  holds(await entry.textContent(), payload, `the ${direction} entry`);
}

async function bothWays(page, kind, size, payload) {
  await logged(page, 'sent', kind, size, payload);
  await logged(page, 'received', kind, size, payload);
}

// The page's own WebSocket, past the form: what comes back is compared there, so that it need not be copied out.
function echoLarge(page, size) {
  return page.evaluate(({ size, wait }) => new Promise((resolve) => {
    const sent = Uint8Array.from({ length: size }, (_, index) => (index * 31) & 255);
    const socket = new WebSocket(document.getElementById('url').value, document.getElementById('subprotocols').value);
    const end = (outcome) => { socket.close(); resolve(outcome); };
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(sent);
    socket.onclose = ({ code }) => end(`closed with ${code}`);
    socket.onmessage = ({ data }) => {
      const received = new Uint8Array(data);
      end(received.length === size && received.every((byte, index) => byte === sent[index]) ? 'same' : `${received.length} other bytes`);
    };
    setTimeout(end, wait, 'no answer');
  }), { size, wait: WAIT });
}

// The checks, in the order in which a user meets them.
async function opensPage(page) {
  const response = await page.goto(address);
  equal(response.status(), 200, 'the status');
  holds(await page.title(), 'ws13 console', 'the title');
  holds(await text(page, 'state'), 'closed', 'the state');
  const { protocol, host } = new URL(address);
  equal(await page.inputValue('#url'), `${protocol === 'https:' ? 'wss:' : 'ws:'}//${host}/`, 'the endpoint offered');
}

async function refusesBadSubprotocol(page) {
  await page.fill('#subprotocols', 'two words');
  await page.click('#connect');
  holds(await text(page, 'subprotocols-error'), 'blank', 'the explanation');
  holds(await text(page, 'state'), 'closed', 'the state');
}

async function connects(page) {
  await connect(page);
  equal(await text(page, 'subprotocol'), SUBPROTOCOL, 'the agreed subprotocol');
  equal(await page.evaluate(() => document.activeElement.id), 'message', 'the focus');
}

async function sendsText(page) {
  await send(page, 'text', SENTENCE);
  await bothWays(page, 'text', Buffer.byteLength(SENTENCE), SENTENCE);
}

async function sendsBinary(page) {
  await send(page, 'binary', '0xde 0xAD beef 00ff');
  await bothWays(page, 'binary', 6, BINARY);
}

async function keepsBadHex(page) {
  const before = await text(page, 'sent-count');
  await send(page, 'binary', 'de ad xy');
  holds(await text(page, 'message-error'), 'character 7', 'the explanation');
  equal(await page.inputValue('#message'), 'de ad xy', 'the field');
  equal(await text(page, 'sent-count'), before, 'the count of sent messages');
}

async function counts(page) {
  await page.waitForFunction(() => document.getElementById('received-count').textContent === '2', null, { timeout: WAIT });
  equal(await text(page, 'sent-count'), '2', 'the count of sent messages');
}

async function timesEcho(page) {
  await page.waitForFunction(() => Number(document.getElementById('rtt').dataset.samples) >= 2, null, { timeout: WAIT });
  const samples = Number(await page.getAttribute('#rtt', 'data-samples'));
  await page.check('#probe');
  await page.waitForFunction((least) => Number(document.getElementById('rtt').dataset.samples) > least, samples, { timeout: WAIT });
  await page.uncheck('#probe');
  equal(await page.locator('#log [data-direction]', { hasText: 'ws13 probe' }).count(), 0, 'the number of probes in the log');
}

async function echoesLarge(page) {
  equal(await echoLarge(page, LARGE), 'same', 'what came back');
}

async function refusesBadCode(page) {
  await page.fill('#close-code', '1001');
  await page.click('#disconnect');
  holds(await text(page, 'close-code-error'), '3000 to 4999', 'the explanation');
  holds(await text(page, 'state'), 'open', 'the state');
}

async function closes(page) {
  await disconnect(page, '3001', 'bye');
  const closed = await text(page, 'closed-with');
  holds(closed, '3001', 'what the page says');
  holds(closed, 'bye', 'what the page says');
  holds(closed, 'Closed cleanly', 'what the page says');
}

async function reconnects(page) {
  await page.click('#connect');
  await reaches(page, 'open');
  await send(page, 'text', 'again');
  await bothWays(page, 'text', 5, 'again');
  await disconnect(page, '1000', '');
  holds(await text(page, 'closed-with'), '1000 normal closure', 'what the page says');
}

async function fits(page) {
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 0) throw new Error(`${over} px too wide at ${size.width} px`);
  }
}

async function checks(browser) {
  const page = await browser.newPage({ viewport: WIDE });
  page.setDefaultTimeout(WAIT);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  // Without the page the other checks say nothing.
  if (!await check('the page opens, closed, with its own server as the endpoint', () => opensPage(page))) return;
  await check('a bad subprotocol is explained and not tried', () => refusesBadSubprotocol(page));
  await check(`it connects and agrees on ${SUBPROTOCOL}`, () => connects(page));
  await check('text with other scripts comes back, sizes in bytes', () => sendsText(page));
  await check('binary comes back as hex', () => sendsBinary(page));
  await check('bad hex is explained and kept', () => keepsBadHex(page));
  await check('messages are counted both ways', () => counts(page));
  await check('echoes and probes are timed, probes stay out of the log', () => timesEcho(page));
  await check(`a message of ${LARGE} bytes comes back the same`, () => echoesLarge(page));
  await check('a close code that no page may send is refused', () => refusesBadCode(page));
  await check('it closes with 3001 and a reason', () => closes(page));
  await check('it connects again and closes with 1000', () => reconnects(page));
  await check('the page fits its width, wide and narrow', () => fits(page));
  await check('the browser complains about nothing', async () => equal(complaints.join('; '), '', 'the list of complaints'));
}

// Pictures for people: every theme and width, before, during and after a connection.
async function screenshots(browser, folder) {
  mkdirSync(folder, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
      const page = await browser.newPage({ viewport, colorScheme });
      await picture(page, (moment) => join(folder, `console-${moment}-${colorScheme}-${name}.png`));
      await page.close();
    }
  }
}

async function picture(page, file) {
  const take = async (moment) => {
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: file(moment), fullPage: true });
  };
  await page.goto(address);
  await take('empty');
  await connect(page);
  await page.check('#probe');
  for (const [kind, message] of [['text', SENTENCE], ['binary', BINARY], ['text', '{"order":["cookies","milk"]}']]) await send(page, kind, message);
  await page.waitForTimeout(3500);
  await take('busy');
  await disconnect(page, '3001', 'bye');
  await take('closed');
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  try {
    await checks(browser);
    if (options.screenshots) await check('screenshots are written', () => screenshots(browser, options.screenshots));
  } finally {
    await browser.close();
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exitCode = tally.failed ? 1 : 0;
}

await main();
