// Uses every part of a client, closes it and says so; then nothing may keep the process alive.
import { createClient } from '../../src/index.ts'

const [bootstrap = '', topic = ''] = process.argv.slice(2)
const client = createClient({ bootstrap: [bootstrap] })
const producer = client.producer({ lingerMs: 1 })
await producer.send({ topic, value: 'x' })
const reading = client.consumer({ assign: [{ topic }], maxWaitMs: 20_000 })[Symbol.asyncIterator]()
await reading.next()
const waiting = reading.next()
const unknown = client.producer().send({ topic: 'nowhere', value: 'x' })
unknown.catch(() => undefined)
await client.admin.listTopics()
await client.close({ timeoutMs: 10 })
await waiting
process.stdout.write(`closed at ${Date.now()}\n`)
