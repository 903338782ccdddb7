import { computeContract, NodeCompute, untilReal } from '../src/index.ts'
import { holdTo } from './contracts.ts'

const compute = new NodeCompute()
holdTo(
  'decompression',
  computeContract(async () => ({ compute, until: untilReal, end: async () => {} })),
)
