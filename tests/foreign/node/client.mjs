// npm's `ws` as a client against an echo server that speaks `me-want-cookies` and takes messages of up to 1 MiB.
//
//   node client.mjs ws://127.0.0.1:PORT/
//   NODE_EXTRA_CA_CERTS=PEM node client.mjs wss://127.0.0.1:PORT/
import { once } from 'node:events'
import assert from 'node:assert/strict'
import WebSocket from 'ws'

const SUBPROTOCOL = 'me-want-cookies'
const LIMIT = 1024 * 1024
const PATIENCE = 15_000

const url = process.argv[2]
let passed = 0
let failed = 0

await check('text comes back as text', async () => {
  await echoes('hi', 'grüße, 世界, 🍪')
})
await check('binary comes back as binary', async () => {
  await echoes(Buffer.from([0, 1, 2, 0xff]))
})
await check('empty messages', async () => {
  await echoes('', Buffer.alloc(0))
})
for (const size of [125, 126, 127, 65535, 65536, LIMIT]) {
  await check(`${size} bytes`, async () => {
    await echoes(pattern(size), 'x'.repeat(size))
  })
}
await check('without an offer of permessage-deflate', async () => {
  const ws = await open({ perMessageDeflate: false })
  ws.send('plain')
  assert.deepEqual(await next(ws), ['plain'])
  assert.equal(ws.extensions, '')
  await bye(ws)
})
await check('fragments are joined, a ping between them is answered', async () => {
  const ws = await open()
  const pong = once(ws, 'pong')
  ws.send('one ', { fin: false })
  ws.send('two ', { fin: false })
  ws.ping('between')
  ws.send('', { fin: false })
  ws.send('three', { fin: true })
  assert.deepEqual(await next(ws), ['one two three'])
  assert.equal(String((await pong)[0]), 'between')
  await bye(ws)
})
await check('a character cut in two by fragments', async () => {
  const ws = await open()
  const cookie = Buffer.from('🍪')
  ws.send(cookie.subarray(0, 1), { binary: false, fin: false })
  ws.send(cookie.subarray(1), { binary: false, fin: true })
  assert.deepEqual(await next(ws), ['🍪'])
  await bye(ws)
})
await check('a ping is answered with its payload', async () => {
  const ws = await open()
  for (const payload of ['', 'payload', 'x'.repeat(125)]) {
    const pong = once(ws, 'pong')
    ws.ping(payload)
    assert.equal(String((await pong)[0]), payload)
  }
  await bye(ws)
})
await check('an unsolicited pong is no matter', async () => {
  const ws = await open()
  ws.pong('nobody asked')
  ws.send('still here')
  assert.deepEqual(await next(ws), ['still here'])
  await bye(ws)
})
await check('the subprotocol is agreed', async () => {
  const ws = await open({}, ['something-else', SUBPROTOCOL])
  assert.equal(ws.protocol, SUBPROTOCOL)
  await bye(ws)
})
await check('a close is answered with its code and reason', async () => {
  const ws = await open()
  const closed = once(ws, 'close')
  ws.close(4001, 'enough cookies')
  assert.deepEqual(await closing(closed), [4001, 'enough cookies'])
})
await check('a close without a code is answered without one', async () => {
  const ws = await open()
  const closed = once(ws, 'close')
  ws.close()
  assert.deepEqual(await closing(closed), [1005, ''])
})
await check('a message over the limit ends in 1009', async () => {
  const ws = await open()
  const closed = once(ws, 'close')
  ws.send(pattern(LIMIT + 1))
  assert.equal((await closing(closed))[0], 1009)
})
await check('fragments over the limit end in 1009', async () => {
  const ws = await open({ perMessageDeflate: false })
  const closed = once(ws, 'close')
  ws.send(pattern(LIMIT), { fin: false })
  ws.send('x', { fin: true })
  assert.equal((await closing(closed))[0], 1009)
})
await check('text that is no UTF-8 ends in 1007', async () => {
  const ws = await open()
  const closed = once(ws, 'close')
  ws.send(Buffer.from([0x61, 0xff]), { binary: false })
  assert.equal((await closing(closed))[0], 1007)
})
await check('an unmasked frame ends in 1002', async () => {
  const ws = await open()
  const closed = once(ws, 'close')
  ws.send('bare', { mask: false })
  assert.equal((await closing(closed))[0], 1002)
})
await check('a foreign origin is refused with 403', async () => {
  const { statusCode } = await refusal({ origin: 'http://evil.example' })
  assert.equal(statusCode, 403)
})
await check('our own origin is welcome', async () => {
  const ws = await open({ origin: new URL(url.replace('ws', 'http')).origin })
  await bye(ws)
})
await check('version 8 is refused with 426, which names 13', async () => {
  const { statusCode, headers } = await refusal({ protocolVersion: 8 })
  assert.deepEqual([statusCode, headers['sec-websocket-version']], [426, '13'])
})
await check('500 messages in one burst come back in order', async () => {
  const ws = await open()
  const sent = Array.from({ length: 500 }, (_, i) => `message ${i} ${'.'.repeat(i)}`)
  const received = messages(ws, sent.length)
  for (const text of sent) ws.send(text)
  assert.deepEqual(await received, sent)
  await bye(ws)
})
await check('20 connections at once', async () => {
  await Promise.all(Array.from({ length: 20 }, () => echoes('hi', pattern(70_000))))
})

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

async function open(options = {}, protocols = []) {
  const ws = new WebSocket(url, protocols, options)
  await once(ws, 'open')
  ws.on('error', () => {}) // what matters is the close that follows
  return ws
}

// Sends each message alone and wants it back as it was.
async function echoes(...payloads) {
  const ws = await open()
  for (const payload of payloads) {
    ws.send(payload)
    const [answer] = await next(ws)
    assert.ok(typeof answer === typeof payload, `a ${typeof payload} came back as a ${typeof answer}`)
    assert.ok(typeof payload === 'string' ? answer === payload : answer.equals(payload), 'the payload differs')
  }
  await bye(ws)
}

function next(ws) {
  return messages(ws, 1)
}

function messages(ws, count) {
  const received = []
  return new Promise((resolve, reject) => {
    const collect = (data, isBinary) => {
      received.push(isBinary ? data : String(data))
      if (received.length < count) return
      ws.off('message', collect)
      resolve(received)
    }
    ws.on('message', collect)
    ws.once('close', code => reject(new Error(`closed with ${code} after ${received.length} messages`)))
  })
}

async function bye(ws) {
  const closed = once(ws, 'close')
  ws.close(1000)
  assert.deepEqual(await closing(closed), [1000, ''])
}

async function closing(closed) {
  const [code, reason] = await closed
  return [code, String(reason)]
}

// The response of a server that does not accept the handshake.
async function refusal(options) {
  const ws = new WebSocket(url, [], options)
  ws.on('error', () => {})
  const accepted = once(ws, 'open').then(() => {
    ws.terminate()
    throw new Error('the handshake was accepted')
  })
  const [request, response] = await Promise.race([once(ws, 'unexpected-response'), accepted])
  request.destroy()
  return response
}

function pattern(size) {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31))
}
