// npm's `ws` as a client of `ws13 serve` behind nginx and haproxy.
//
//   node front.mjs nginx PLAIN-PORT TLS-PORT
//   node front.mjs haproxy VERSION1-PORT VERSION2-PORT SECURE1-PORT SECURE2-PORT
//
// The servers believe 127.0.0.1, and take one connection from each address: this machine has more of them.
import { once } from 'node:events'
import assert from 'node:assert/strict'
import http from 'node:http'
import WebSocket from 'ws'

const PATIENCE = 60_000
const LIFE = 30_000

const [kind, ...ports] = process.argv.slice(2)
let passed = 0
let failed = 0

await (kind === 'nginx' ? nginx(...ports) : haproxy(...ports))
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)

async function nginx(plain, tls) {
  const lived = live(`ws://127.0.0.1:${plain}/pinged/`, '127.0.0.20')
  // Its failure is told at the end.
  lived.catch(() => {})
  await check('a connection that is not pinged is cut by nginx', async () => {
    const start = Date.now()
    const ws = await open(`ws://127.0.0.1:${plain}/silent/`)
    const [code] = await once(ws, 'close')
    assert.equal(code, 1006)
    assert.ok(Date.now() - start < 20_000)
  })
  for (const path of ['pinged', 'standard']) {
    for (const [scheme, port] of [['ws', plain], ['wss', tls]]) {
      await check(`/${path}/ by ${scheme}: the client's address counts`, async () => {
        await oneForEachAddress(`${scheme}://127.0.0.1:${port}/${path}/`)
      })
    }
    await check(`/${path}/: the page's scheme is that of the client's connection`, async () => {
      const url = `wss://127.0.0.1:${tls}/${path}/`
      const page = await open(url, { localAddress: '127.0.0.30', origin: `https://127.0.0.1:${tls}` })
      await echoes(page)
      await bye(page)
      await refused(url, 403, { localAddress: '127.0.0.31', origin: `http://127.0.0.1:${tls}` })
    })
  }
  await check('messages of all sizes pass', async () => {
    const ws = await open(`wss://127.0.0.1:${tls}/pinged/`, { localAddress: '127.0.0.40' })
    for (const size of [0, 125, 126, 65536, 1024 * 1024]) {
      const sent = Buffer.alloc(size, size)
      ws.send(sent)
      const [received] = await once(ws, 'message')
      assert.ok(sent.equals(received))
    }
    await bye(ws)
  })
  await check(`a connection that is pinged every second lives for ${LIFE / 1000} s behind a timeout of 3 s`, async () => {
    await lived
  })
}

async function haproxy(version1, version2, secure1, secure2) {
  for (const [version, port] of [[1, version1], [2, version2]]) {
    await check(`version ${version}: the client's address counts`, async () => {
      await oneForEachAddress(`ws://127.0.0.1:${port}/`)
    })
  }
  for (const [version, port] of [[1, secure1], [2, secure2]]) {
    await check(`version ${version} before TLS: the client's address counts, and its page's scheme`, async () => {
      const url = `wss://127.0.0.1:${port}/`
      await oneForEachAddress(url)
      const page = await open(url, { localAddress: '127.0.0.30', origin: `https://127.0.0.1:${port}` })
      await echoes(page)
      await bye(page)
      await refused(url, 403, { localAddress: '127.0.0.31', origin: `http://127.0.0.1:${port}` })
    })
  }
  await check('health checks are understood, and none is refused for its header', async () => {
    const figures = await get(version2, '/metrics')
    const lost = figures.match(/handshakes_refused_total\{reason="lost"\} (\d+)/)
    assert.ok(Number(lost?.[1]) > 0, figures)
    assert.doesNotMatch(figures, /reason="proxy"/)
  })
}

/// One connection is taken from an address, a second one refused, and one from another address taken.
async function oneForEachAddress(url) {
  const one = await open(url, { localAddress: '127.0.0.2' })
  await refused(url, 503, { localAddress: '127.0.0.2' })
  const other = await open(url, { localAddress: '127.0.0.3' })
  await echoes(one)
  await echoes(other)
  await Promise.all([bye(one), bye(other)])
}

/// Says nothing for long, and is there all the same.
async function live(url, localAddress) {
  const ws = await open(url, { localAddress })
  let pings = 0
  ws.on('ping', () => pings++)
  await new Promise((resolve, reject) => {
    setTimeout(resolve, LIFE)
    ws.on('close', (code) => reject(new Error(`closed with ${code} after ${pings} pings`)))
  })
  ws.removeAllListeners('close')
  assert.ok(pings >= LIFE / 1000 / 2, `${pings} pings`)
  await echoes(ws)
  await bye(ws)
}

async function open(url, options = {}) {
  const ws = new WebSocket(url, { rejectUnauthorized: false, ...options })
  await once(ws, 'open')
  return ws
}

async function refused(url, status, options) {
  // What was closed before may still be counted for a moment.
  const ws = new WebSocket(url, { rejectUnauthorized: false, ...options })
  const [, response] = await once(ws, 'unexpected-response')
  assert.equal(response.statusCode, status)
  ws.on('error', () => {})
  response.destroy()
}

async function echoes(ws) {
  ws.send('hi')
  const [message] = await once(ws, 'message')
  assert.equal(String(message), 'hi')
}

async function bye(ws) {
  const closed = once(ws, 'close')
  ws.close(1000)
  assert.equal((await closed)[0], 1000)
  // The server counts it out a moment after.
  await new Promise((resolve) => setTimeout(resolve, 100))
}

async function get(port, path) {
  const request = http.get({ host: '127.0.0.1', port, path, localAddress: '127.0.0.50' })
  const [response] = await once(request, 'response')
  let text = ''
  for await (const piece of response) text += piece
  return text
}

async function check(name, run) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('it took too long')), PATIENCE)
  })
  try {
    await Promise.race([run(), late])
    passed++
    console.log(`ok - ${name}`)
  } catch (error) {
    failed++
    console.log(`not ok - ${name}\n${error.stack}`)
  } finally {
    clearTimeout(timer)
  }
}
