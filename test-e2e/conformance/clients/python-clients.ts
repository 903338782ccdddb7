import { join } from 'node:path'
import { ProcessAdapter } from '../core/adapter.ts'
import type { ClientSpec } from '../core/client.ts'
import { cached, has, HERE, step } from '../core/install.ts'

const CONFLUENT = '2.16.1'
const KAFKA_PYTHON = '3.0.12'
const PACKAGES = [
  `confluent-kafka==${CONFLUENT}`,
  `kafka-python==${KAFKA_PYTHON}`,
  'python-snappy==0.7.3',
  'cramjam==2.14.0',
  'lz4==4.4.5',
  'zstandard==0.25.0',
]

function pythonClient(file: string): ClientSpec['install'] {
  return async () => {
    if (!(await has('python3', '--version'))) return 'this machine has no python3'
    const folder = await cached('python', PACKAGES.join(' '), async (folder) => {
      await step('python3', ['-m', 'venv', folder])
      await step(join(folder, 'bin', 'pip'), ['install', '--quiet', '--only-binary', ':all:', ...PACKAGES])
    })
    const program = { command: join(folder, 'bin', 'python'), args: ['-W', 'ignore', join(HERE, 'adapters', file)] }
    return { start: (bootstrap) => new ProcessAdapter(program, bootstrap) }
  }
}

export const confluent: ClientSpec = {
  name: 'confluent-kafka',
  version: `${CONFLUENT} (librdkafka)`,
  habits: {},
  lacks: {},
  install: pythonClient('confluent.py'),
}

const CLASSIC_ONLY = 'kafka-python knows the classic group protocol only'

export const kafkaPython: ClientSpec = {
  name: 'kafka-python',
  version: KAFKA_PYTHON,
  habits: { cannotWrite: ['null header'] },
  lacks: { 'consumer-protocol': CLASSIC_ONLY, 'consumer-protocol-resume': CLASSIC_ONLY },
  install: pythonClient('kafka_python.py'),
}
