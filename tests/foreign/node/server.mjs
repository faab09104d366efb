// An echo server of npm's `ws`, for `ws13 connect` to talk to. Prints its port, then serves until it is killed.
//
//   /                       echoes every message
//   /close?code=N&reason=T  closes at once with that code and reason
//   /subprotocol            tells the agreed subprotocol in a first message, then echoes
//   /refuse                 answers the handshake with 401 and a body
//   /hang                   never answers the handshake
//   /abrupt                 ends TCP without a Close frame
//   /violate                sends a frame with RSV2 set, which nothing allows
//
// Over TLS where the environment names TLS_CERT and TLS_KEY, two PEM files.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { WebSocketServer } from 'ws'

const SUBPROTOCOL = 'me-want-cookies'

const { TLS_CERT, TLS_KEY } = process.env
const http = TLS_CERT
  ? createSecureServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) })
  : createServer()
const server = new WebSocketServer({
  noServer: true,
  maxPayload: 1024 * 1024,
  handleProtocols: offered => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
})

http.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'ws://server')
  const { origin, host } = request.headers
  socket.on('error', () => {})
  if (url.pathname === '/hang') return
  if (url.pathname === '/refuse') return refuse(socket, '401 Unauthorized', 'no cookie, no entry')
  if (origin && origin !== `${TLS_CERT ? 'https' : 'http'}://${host}`) return refuse(socket, '403 Forbidden', 'foreign origin')
  server.handleUpgrade(request, socket, head, ws => serve(ws, url, socket))
})
http.listen(0, '127.0.0.1', () => console.log(http.address().port))

function serve(ws, url, socket) {
  ws.on('error', () => {})
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))
  switch (url.pathname) {
    case '/close':
      return ws.close(Number(url.searchParams.get('code')), url.searchParams.get('reason'))
    case '/subprotocol':
      return ws.send(ws.protocol)
    case '/abrupt':
      return socket.end()
    case '/violate':
      return socket.write(Buffer.from([0xa1, 0x01, 0x61]))
  }
}

function refuse(socket, status, body) {
  socket.end(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
}
