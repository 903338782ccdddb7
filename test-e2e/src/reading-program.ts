// A consumer in a process of its own, so that it can be killed: reading-program.ts BOOTSTRAP GROUP TOPIC prints what it is handed, a JSON array a line.
import { Kafka, logLevel } from 'kafkajs'

const [bootstrap = '', groupId = '', topic = ''] = process.argv.slice(2)
// With few retries: kafkajs asks the coordinator that it knows again and again, and looks for another one only when it has given up.
const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 5 }
const kafka = new Kafka({ clientId: 'reader', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING, retry })
const consumer = kafka.consumer({ groupId, sessionTimeout: 6_000, heartbeatInterval: 500, retry })

// Without the test nobody reads what it prints.
process.once('disconnect', () => process.exit())
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  process.stdout.write(`${JSON.stringify(['owns', payload.memberAssignment[topic] ?? []])}\n`)
})
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  autoCommitThreshold: 20,
  eachMessage: async ({ partition, message }) => {
    process.stdout.write(`${JSON.stringify(['read', partition, Number(message.offset)])}\n`)
  },
})
