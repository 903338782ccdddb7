import { BROKER_KEYS, brokerConfigProblem, effectiveTopicConfig, layered } from '@millrace/base'
import type { Properties, TopicConfig } from '@millrace/base'
import type { BrokerContext } from '../seams.ts'

/** How many topics' settings are kept parsed; past it they are all forgotten and parsed again. */
const MAX_CACHED = 10_000

/** What the settings in force mean, parsed once per change of the metadata and not per request. */
export class TopicSettings {
  private readonly context: BrokerContext
  private index = -1
  private properties: Properties = new Map()
  private readonly topics = new Map<string, TopicConfig>()

  constructor(context: BrokerContext) {
    this.context = context
  }

  /** The settings of a topic, its own over the broker's. */
  topic(name: string): TopicConfig {
    this.refresh()
    let config = this.topics.get(name)
    if (config === undefined) {
      if (this.topics.size >= MAX_CACHED) this.topics.clear()
      config = effectiveTopicConfig(this.context.image.configs({ kind: 'topic', name }), this.properties)
      this.topics.set(name, config)
    }
    return config
  }

  /** The text of a broker setting: dynamic for this broker, dynamic for all, of the file, the default; '' where there is none. */
  broker(name: string): string {
    this.refresh()
    const value = this.properties.get(name)
    if (value !== undefined && brokerConfigProblem(name, value) === null) return value.trim()
    return BROKER_KEYS.get(name)?.default ?? ''
  }

  private refresh(): void {
    const { image, config } = this.context
    if (image.index === this.index) return
    this.index = image.index
    this.topics.clear()
    this.properties = layered(
      image.configs({ kind: 'broker', name: String(config.nodeId) }),
      image.configs({ kind: 'broker', name: '' }),
      config.properties,
    )
  }
}
