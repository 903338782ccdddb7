/** A log that forgets in a power cut, and a node around one machine: for the scenarios here and for the simulator. */
export * from './model-log.ts'
export * from './node.ts'
