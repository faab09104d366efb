// An echo server of npm's `ws` with its default settings, and with permessage-deflate, for `cargo xtask check-peers`.
// Prints its port.
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true })
server.on('listening', () => console.log(server.address().port))
server.on('connection', ws => {
  ws.on('error', () => {})
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))
})
