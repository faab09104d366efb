// npm's `ws` as the receivers of a broadcast: prepared and ordinary messages on one connection, whatever it agreed on.
//
//   node broadcast.mjs ws://127.0.0.1:PORT/
import assert from 'node:assert/strict'
import { once } from 'node:events'
import WebSocket from 'ws'

const PATIENCE = 30_000
const ROUNDS = 200
const url = process.argv[2]
const late = setTimeout(() => { console.log(`not ok - nothing for ${PATIENCE / 1000} s`); process.exit(1) }, PATIENCE)

const OFFERS = [true, true, { threshold: 0 }, { serverMaxWindowBits: 9 }, { serverMaxWindowBits: 11 },
  { serverNoContextTakeover: true, clientNoContextTakeover: true }, false]
const members = await Promise.all(OFFERS.map(async perMessageDeflate => {
  const ws = new WebSocket(url, { perMessageDeflate })
  await once(ws, 'open')
  assert.equal(ws.extensions, perMessageDeflate ? 'permessage-deflate' : '')
  const member = { ws, came: [], wanted: [], plain: 0 }
  ws.on('message', data => member.came.push(String(data)))
  return member
}))

// Everyone has said something once it is answered, so that all are there.
for (const [at, member] of members.entries()) await say(member, `hello ${at}`)
const before = members.map(member => member.ws._socket.bytesRead)
for (let round = 0; round < ROUNDS; round++) {
  const text = `all ${json(round, 900 + round % 200)}`
  members[round % members.length].ws.send(text)
  for (const member of members) member.wanted.push(text)
  await Promise.all(members.map(settled))
  // Now one, now another is told something of its own between two that are for all.
  const some = members.filter((_, at) => (round + at) % 5 === 0)
  await Promise.all(some.map(member => say(member, json(round * 3, 300 + round))))
}
for (const [at, member] of members.entries()) {
  assert.deepEqual(member.came, member.wanted)
  const came = member.ws._socket.bytesRead - before[at]
  const share = came / member.wanted.reduce((sum, text) => sum + text.length, 0)
  console.log(`ok - ${JSON.stringify(OFFERS[at])}: ${member.came.length} messages, ${(100 * share).toFixed(0)} % of their bytes`)
  assert.ok(OFFERS[at] === false ? share > 1 : share < 0.7, 'as it was agreed')
  member.ws.close(1000)
  await once(member.ws, 'close')
}
console.log(`${members.length} passed, 0 failed`)
clearTimeout(late)

async function say(member, text) {
  member.ws.send(text)
  member.wanted.push(text)
  await settled(member)
}

async function settled(member) {
  while (member.came.length < member.wanted.length) await once(member.ws, 'message')
}

function json(seed, length) {
  let text = ''
  for (let i = seed; text.length < length; i++) {
    text += `{"id":${i * 7919},"name":"sensor-${i % 13}","value":${(i * 37) % 1000},"tags":["a","room"]},`
  }
  return text.slice(0, length)
}
