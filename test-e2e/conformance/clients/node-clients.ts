import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ProcessAdapter } from '../core/adapter.ts'
import type { ClientSpec } from '../core/client.ts'

const adapters = join(dirname(dirname(fileURLToPath(import.meta.url))), 'adapters')

function nodeProgram(file: string): ClientSpec['install'] {
  const program = { command: process.execPath, args: ['--no-warnings', join(adapters, file)] }
  return async () => ({ start: (bootstrap) => new ProcessAdapter(program, bootstrap) })
}

const NO_NEW_PROTOCOL = 'kafkajs knows the classic group protocol only'

export const kafkajs: ClientSpec = {
  name: 'kafkajs',
  version: '2.2.4',
  habits: { cannotWrite: ['null header'] },
  lacks: { 'consumer-protocol': NO_NEW_PROTOCOL, 'consumer-protocol-resume': NO_NEW_PROTOCOL },
  install: nodeProgram('kafkajs.ts'),
}

const NO_GENERATION =
  'as a classic member it reads offsets without its generation, which groups of the newer protocol refuse, Kafka’s too'

export const platformatic: ClientSpec = {
  name: 'platformatic',
  version: '2.12.1',
  habits: {},
  lacks: { 'group-migration': NO_GENERATION, 'group-mixed': NO_GENERATION },
  install: nodeProgram('platformatic.ts'),
}
