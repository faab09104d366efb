// npm's `ws` and compressed messages, both ways: as a client of `ws13 serve echo --compress`, and as a server of
// `ws13 connect --compress`.
//
//   node deflate.mjs ws://127.0.0.1:PORT/ PATH-OF-ws13
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import WebSocket, { WebSocketServer } from 'ws'

const PATIENCE = 20_000
const LIMIT = 1024 * 1024
const [url, ws13] = process.argv.slice(2)
let passed = 0
let failed = 0

// What a client of `ws` may ask for, and what is agreed on then.
const OFFERS = [
  [true, {}],
  [{ threshold: 0 }, {}],
  [{ clientMaxWindowBits: 9 }, { client_max_window_bits: 9 }],
  [{ serverMaxWindowBits: 9 }, { server_max_window_bits: 9 }],
  [{ serverMaxWindowBits: 8 }, { server_max_window_bits: 8 }],
  [{ serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
    { server_no_context_takeover: true, client_no_context_takeover: true }],
]

for (const [perMessageDeflate, agreed] of OFFERS) {
  await check(`as a client that offers ${JSON.stringify(perMessageDeflate)}`, async () => {
    const ws = new WebSocket(url, { perMessageDeflate })
    await once(ws, 'open')
    assert.deepEqual(parameters(ws), agreed)
    for (const text of texts()) {
      ws.send(text)
      const [data, isBinary] = await once(ws, 'message')
      assert.ok(!isBinary && String(data) === text, `${text.length} characters came back otherwise`)
    }
    // Compressed, as it is, and in fragments, one after the other.
    for (const [round, text] of texts().entries()) {
      const compress = round % 2 === 0
      ws.send(text.slice(0, 5), { compress, fin: false })
      ws.ping('between')
      ws.send(text.slice(5), { compress, fin: true })
      assert.ok(String((await once(ws, 'message'))[0]) === text)
    }
    await burst(ws)
    ws.close(1000)
    assert.equal((await once(ws, 'close'))[0], 1000)
  })
}
await check('a compressed message is smaller on the wire', async () => {
  const ws = new WebSocket(url)
  await once(ws, 'open')
  const before = ws._socket.bytesRead
  for (let i = 0; i < 20; i++) {
    ws.send(json(4000))
    await once(ws, 'message')
  }
  assert.ok(ws._socket.bytesRead - before < 10_000, `${ws._socket.bytesRead - before} bytes came`)
  ws.terminate()
})
await check('a bomb ends in 1009', async () => {
  const ws = new WebSocket(url)
  await once(ws, 'open')
  ws.on('error', () => {})
  ws.send(Buffer.alloc(64 * LIMIT))
  assert.equal((await once(ws, 'close'))[0], 1009)
})
for (const [perMessageDeflate, agreed] of [
  [true, {}],
  [{ threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 10 },
    { server_max_window_bits: 10, client_max_window_bits: 10 }],
  [{ threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
    { server_no_context_takeover: true, client_no_context_takeover: true }],
]) {
  await check(`as a server that is set to ${JSON.stringify(perMessageDeflate)}`, async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate })
    await once(server, 'listening')
    let seen
    server.on('connection', ws => {
      seen = parameters(ws)
      ws.on('message', (data, binary) => ws.send(data, { binary }))
    })
    const lines = texts().filter(text => text && !text.includes('\n'))
    const to = `ws://127.0.0.1:${server.address().port}/`
    const connect = spawn(ws13, ['connect', '--compress', '--count', String(lines.length), to])
    let out = ''
    connect.stdout.setEncoding('utf8').on('data', data => { out += data })
    connect.stdin.end(lines.join('\n') + '\n')
    assert.deepEqual(await once(connect, 'close'), [0, null])
    assert.ok(out === lines.join('\n') + '\n', 'the lines came back otherwise')
    assert.deepEqual(seen, agreed)
    server.close()
  })
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)

async function check(name, body) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${PATIENCE / 1000} s`)), PATIENCE)
  })
  try {
    await Promise.race([body(), late])
    passed += 1
    console.log(`ok - ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok - ${name}: ${String(error.message).split('\n').join(' ').slice(0, 500)}`)
  }
  clearTimeout(timer)
}

async function burst(ws) {
  const sent = Array.from({ length: 300 }, (_, i) => json(20 * i))
  const received = []
  const all = new Promise(resolve => {
    ws.on('message', function collect(data) {
      received.push(String(data))
      if (received.length < sent.length) return
      ws.off('message', collect)
      resolve()
    })
  })
  for (const text of sent) ws.send(text)
  await all
  assert.ok(received.every((text, i) => text === sent[i]), 'the burst came back otherwise')
}

function texts() {
  const noise = Array.from({ length: 3000 }, (_, i) => String.fromCharCode(33 + ((i * i * 7919) >> 5) % 90)).join('')
  return ['', 'hi', json(64), json(264), json(264), 'grüße, 世界, 🍪'.repeat(50), noise, json(20_000), 'x'.repeat(LIMIT),
    json(264), json(200_000), json(300)]
}

function json(length) {
  let text = ''
  for (let i = 0; text.length < length; i++) {
    text += `{"id":${i * 7919},"name":"sensor-${i % 13}","value":${(i * 37) % 1000},"tags":["a","room"]},`
  }
  return text.slice(0, length)
}

// `ws` shows the name alone; what was agreed on is inside.
function parameters(ws) {
  assert.equal(ws.extensions, 'permessage-deflate')
  return { ...ws._extensions['permessage-deflate'].params }
}
