// MQTT.js as a peer of the interoperability tests.
//
// One process holds many clients. Each line on standard input is a JSON request
// ({"id":1,"client":"c1","op":"connect",...}), each line on standard output an answer with the same
// id ("ok", "refused" or "error") or an event of one client ("message", "closed").
// ../peers.py drives it; ../rumqttc speaks the same lines.

import mqtt from 'mqtt'
import { createInterface } from 'node:readline'

const clients = new Map()

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const bytes = (text) => Buffer.from(text ?? '', 'base64')
const given = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value != null))

function connect(request) {
  const { id, client: name } = request
  const five = request.version === 5
  const options = {
    host: '127.0.0.1',
    port: request.port,
    protocol: request.protocol ?? 'mqtt',
    path: request.protocol?.startsWith('ws') ? '/mqtt' : undefined,
    ...request.tls,
    protocolVersion: five ? 5 : 4,
    clientId: request.client_id,
    clean: request.clean,
    keepalive: request.keepalive,
    reconnectPeriod: 0,
    resubscribe: false,
    connectTimeout: 10_000,
    username: request.username ?? undefined,
    password: request.password ?? undefined,
    autoAssignTopicAlias: five && request.assign_aliases === true,
    properties: five ? given({ sessionExpiryInterval: request.session_expiry }) : undefined,
  }
  if (request.will) {
    const { topic, payload, qos, retain, delay } = request.will
    options.will = { topic, payload: bytes(payload), qos, retain }
    if (five && delay != null) options.will.properties = { willDelayInterval: delay }
  }
  const client = mqtt.connect(options)
  clients.set(name, client)
  let answered = false
  let cause = 'closed'
  client.on('connect', (connack) => {
    answered = true
    const properties = connack.properties ?? {}
    say({
      id,
      ok: {
        session_present: connack.sessionPresent,
        assigned_id: properties.assignedClientIdentifier,
        topic_alias_maximum: properties.topicAliasMaximum ?? 0,
      },
    })
  })
  client.on('error', (error) => {
    cause = error.message
    if (answered) return
    answered = true
    // MQTT.js puts the CONNACK's code on the error.
    if (typeof error.code === 'number') say({ id, refused: error.code })
    else say({ id, error: error.message })
    client.end(true)
  })
  client.on('disconnect', (packet) => {
    cause = `DISCONNECT ${packet.reasonCode}`
  })
  client.on('close', () => {
    if (!answered) say({ id, error: `closed before CONNACK: ${cause}` })
    answered = true
    say({ client: name, closed: cause })
  })
  client.on('message', (topic, payload, packet) => {
    const message = {
      topic,
      payload: payload.toString('base64'),
      qos: packet.qos,
      retain: packet.retain,
      dup: packet.dup,
    }
    if (packet.properties) message.properties = receivedProperties(packet.properties)
    say({ client: name, message })
  })
}

function receivedProperties(properties) {
  const ids = properties.subscriptionIdentifier
  return {
    payload_format: properties.payloadFormatIndicator == null ? undefined : Number(properties.payloadFormatIndicator),
    message_expiry: properties.messageExpiryInterval,
    response_topic: properties.responseTopic,
    correlation_data: properties.correlationData?.toString('base64'),
    content_type: properties.contentType,
    identifiers: ids == null ? [] : [ids].flat(),
    user: Object.entries(properties.userProperties ?? {})
      .flatMap(([key, values]) => [values].flat().map((value) => [key, value])),
  }
}

function sentProperties(properties) {
  if (!properties) return undefined
  const user = {}
  for (const [key, value] of properties.user ?? []) (user[key] ??= []).push(value)
  return given({
    payloadFormatIndicator: properties.payload_format == null ? null : properties.payload_format === 1,
    messageExpiryInterval: properties.message_expiry,
    responseTopic: properties.response_topic,
    correlationData: properties.correlation_data == null ? null : bytes(properties.correlation_data),
    contentType: properties.content_type,
    topicAlias: properties.topic_alias,
    userProperties: properties.user ? user : null,
  })
}

function ask(client, request) {
  const { id, op } = request
  const done = (error, result) => (error ? say({ id, error: error.message }) : say({ id, ok: result ?? {} }))
  switch (op) {
    case 'subscribe': {
      const options = { qos: request.qos }
      if (client.options.protocolVersion === 5) {
        options.nl = request.no_local
        options.rap = request.retain_as_published
        options.rh = request.retain_handling
        if (request.identifier != null) options.properties = { subscriptionIdentifier: request.identifier }
      }
      client.subscribe(request.filter, options, (error, grants, packet) =>
        done(error, { granted: packet ? [...packet.granted] : [] }))
      break
    }
    case 'unsubscribe':
      client.unsubscribe(request.filter, (error) => done(error))
      break
    case 'publish': {
      const options = { qos: request.qos, retain: request.retain }
      if (client.options.protocolVersion === 5) options.properties = sentProperties(request.properties)
      client.publish(request.topic, bytes(request.payload), options, (error) => done(error))
      break
    }
    case 'disconnect':
      client.end(false, {}, () => done())
      break
    case 'abort':
      // Closes the socket without a DISCONNECT.
      client.stream.destroy()
      done()
      break
    default:
      say({ id, error: `no such request: ${op}` })
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line)
  try {
    if (request.op === 'connect') return connect(request)
    const client = clients.get(request.client)
    if (client) ask(client, request)
    else say({ id: request.id, error: 'no such client' })
  } catch (error) {
    say({ id: request.id, error: String(error) })
  }
}).on('close', () => process.exit(0))
