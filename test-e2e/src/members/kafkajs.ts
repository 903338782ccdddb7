import kafkajs from 'kafkajs'
import { CLASSIC_TIMES, FETCH_WAIT_MS, type Join } from './member.ts'

const { Kafka, logLevel } = kafkajs

/** kafkajs as applications use it: message by message; it commits after each batch. */
export const joinByKafkaJs: Join = async ({ bootstrap, group, topic, clientId }, { read, failed }) => {
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 1_000 }
  const kafka = new Kafka({
    brokers: [...bootstrap],
    clientId,
    logLevel: logLevel.NOTHING,
    connectionTimeout: 500,
    retry,
  })
  const consumer = kafka.consumer({ groupId: group, ...CLASSIC_TIMES, maxWaitTimeInMs: FETCH_WAIT_MS, retry })
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) failed(payload.error)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) =>
      read({
        atMs: Date.now(),
        appendedMs: Number(message.timestamp),
        partition,
        offset: Number(message.offset),
        value: message.value?.toString() ?? '',
      }),
  })
  return () => consumer.disconnect()
}
