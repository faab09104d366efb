// npm's `ws` for bin/deflate.rs: messages of a server's sockets, compressed, into nothing.
//
//   node deflate.mjs FOLDER-WITH-node_modules SIZE CONNECTIONS LEVEL TAKEOVER COUNT WARM-UP
import { createRequire } from 'node:module'
import { Writable } from 'node:stream'

const [folder, ...numbers] = process.argv.slice(2)
const [size, connections, level, takeover, count, warmUp] = numbers.map(Number)
const require = createRequire(`${folder}/package.json`)
const Sender = require(`${folder}/node_modules/ws/lib/sender.js`)
const PerMessageDeflate = require(`${folder}/node_modules/ws/lib/permessage-deflate.js`)

let bytes = 0
const nothing = () => new Writable({ write(chunk, _encoding, done) { bytes += chunk.length; done() } })
const senders = Array.from({ length: connections }, () => {
  const deflate = new PerMessageDeflate({ threshold: 0, zlibDeflateOptions: { level }, isServer: true })
  deflate.accept([takeover ? {} : { server_no_context_takeover: [true] }])
  return new Sender(nothing(), { [PerMessageDeflate.extensionName]: deflate })
})
const send = (at, text) => new Promise(done => senders[at].send(text, { fin: true, compress: true, binary: false, mask: false, readOnly: true }, done))

for (let number = 0; number < warmUp; number++) await send(number % connections, message(number))
const messages = Array.from({ length: count }, (_, number) => message(number + count))
bytes = 0
const before = process.cpuUsage()
for (let number = 0; number < count; number++) await send(number % connections, messages[number])
const { user, system } = process.cpuUsage(before)
console.log(`${((user + system) / count).toFixed(2)}, ${Math.floor(bytes / count)}`)
process.exit(0)

function message(number) {
  let text = ''
  for (let i = 0; text.length < size; i++) {
    const n = number * 31 + i
    text += `{"id":${n * 7919},"name":"sensor-${n % 13}","value":${n % 40}.${n * 37 % 1000},"unit":"celsius","tags":["a${n % 5}","room"]},`
  }
  return text.slice(0, size)
}
