import { brokerConfigValue, effectiveTopicConfig, layered } from '@millrace/base'
import type { Properties, TopicConfig } from '@millrace/base'
import type { ProduceRules } from '@millrace/records'
import type { BrokerContext } from '../seams.ts'

/** How many topics' settings are kept parsed; past it they are all forgotten and parsed again. */
const MAX_CACHED = 10_000

/** A topic's settings, parsed, and what they demand of a produced batch. */
export interface ParsedTopic {
  readonly config: TopicConfig
  readonly rules: ProduceRules
  /** The same for versions of Produce that may not carry zstd. */
  readonly rulesWithoutZstd: ProduceRules
}

interface CachedTopic extends ParsedTopic {
  readonly overrides: Properties
}

/**
 * What the settings in force mean, parsed once per change of a setting and not per request. The image replaces a resource's settings
 * when they change and never changes them in place, so that looking whether they are the same object is enough.
 */
export class TopicSettings {
  private readonly context: BrokerContext
  private own: Properties | null = null
  private everywhere: Properties | null = null
  private properties: Properties = new Map()
  private readonly topics = new Map<string, CachedTopic>()

  constructor(context: BrokerContext) {
    this.context = context
  }

  /** The settings of a topic, its own over the broker's. */
  topic(name: string): ParsedTopic {
    this.refresh()
    const overrides = this.context.image.configs({ kind: 'topic', name })
    const known = this.topics.get(name)
    if (known !== undefined && known.overrides === overrides) return known
    if (this.topics.size >= MAX_CACHED) this.topics.clear()
    const config = effectiveTopicConfig(overrides, this.properties)
    const rules = rulesOf(config)
    const parsed = { overrides, config, rules, rulesWithoutZstd: { ...rules, zstdAllowed: false } }
    this.topics.set(name, parsed)
    return parsed
  }

  /** The text of a broker setting: dynamic for this broker, dynamic for all, of the file, the default; '' where there is none. */
  broker(name: string): string {
    this.refresh()
    return brokerConfigValue(this.properties, name)
  }

  private refresh(): void {
    const { image, config } = this.context
    const own = image.configs({ kind: 'broker', name: String(config.nodeId) })
    const everywhere = image.configs({ kind: 'broker', name: '' })
    if (own === this.own && everywhere === this.everywhere) return
    this.own = own
    this.everywhere = everywhere
    this.topics.clear()
    this.properties = layered(own, everywhere, config.properties)
  }
}

function rulesOf(config: TopicConfig): ProduceRules {
  return {
    maxMessageBytes: config.maxMessageBytes,
    segmentBytes: config.segmentBytes,
    compacted: config.cleanupPolicy.includes('compact'),
    timestampType: config.messageTimestampType,
    timestampBeforeMaxMs: config.messageTimestampBeforeMaxMs,
    timestampAfterMaxMs: config.messageTimestampAfterMaxMs,
    zstdAllowed: true,
  }
}
