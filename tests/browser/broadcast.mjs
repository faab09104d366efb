// Chromium as the receiver of a broadcast, prepared and ordinary messages on one connection:
//
//     node broadcast.mjs http://127.0.0.1:CONSOLE/ ws://127.0.0.1:PORT/
//
// The console page of `ws13 serve` is where the page runs; the broadcast is another server. One line a check, exit code 1
// when one fails. CHROMIUM names the browser, /usr/bin/chromium where it does not.

import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const [address, url] = process.argv.slice(2);
if (!url) {
  console.error('usage: node broadcast.mjs http://127.0.0.1:CONSOLE/ ws://127.0.0.1:PORT/');
  process.exit(2);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
const page = await browser.newPage();
await page.goto(address);
const results = await page.evaluate(listen, url);
await browser.close();
for (const [name, right] of results) console.log(`${right ? 'ok' : 'not ok'} - ${name}`);
const failed = results.filter(([, right]) => !right).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

// Runs in the page: three members, of whom now one and now another is told something of its own.
async function listen(url) {
  const json = (seed, length) => {
    let text = '';
    for (let i = seed; text.length < length; i++) text += `{"id":${i * 7919},"name":"sensor-${i % 13}","tags":["a","room"]},`;
    return text.slice(0, length);
  };
  const results = [];
  const members = await Promise.all([0, 1, 2].map(() => new Promise((opened, failed) => {
    const socket = new WebSocket(url);
    const member = { socket, came: [], wanted: [], tell: () => {} };
    socket.onmessage = ({ data }) => { member.came.push(data); member.tell(); };
    socket.onopen = () => opened(member);
    socket.onerror = failed;
  })));
  const settled = async member => {
    while (member.came.length < member.wanted.length) await new Promise(tell => { member.tell = tell; });
  };
  const say = (member, text) => { member.wanted.push(text); member.socket.send(text); return settled(member); };
  results.push(['permessage-deflate is agreed', members.every(({ socket }) => socket.extensions === 'permessage-deflate')]);
  for (const [at, member] of members.entries()) await say(member, `hello ${at}`);
  for (let round = 0; round < 200; round++) {
    const text = `all ${json(round, 900 + round % 200)}`;
    members[round % 3].socket.send(text);
    for (const member of members) member.wanted.push(text);
    await Promise.all(members.map(settled));
    await Promise.all(members.filter((_, at) => (round + at) % 5 === 0).map(member => say(member, json(3 * round, 300 + round))));
  }
  for (const [at, { came, wanted }] of members.entries()) {
    results.push([`member ${at} got ${came.length} messages, each as it was`, came.every((text, i) => text === wanted[i])]);
  }
  for (const { socket } of members) {
    const closed = new Promise(tell => { socket.onclose = tell; });
    socket.close(1000, 'enough');
    results.push(['it closes cleanly', (await closed).wasClean]);
  }
  return results;
}
