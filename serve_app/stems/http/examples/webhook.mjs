// A webhook receiver that verifies signatures, with the secret of the server:
// WEBHOOK_SECRET=whsec_… node receiver.mjs
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace('whsec_', ''), 'base64')

function isGenuine(headers, body) {
  const sentAt = headers['webhook-timestamp'] ?? ''
  if (!/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - sentAt) > 300) return false
  const hmac = createHmac('sha256', key)
  hmac.update(`${headers['webhook-id']}.${sentAt}.`).update(body)
  const wanted = Buffer.from(`v1,${hmac.digest('base64')}`)
  const given = (headers['webhook-signature'] ?? '').split(' ').map((each) => Buffer.from(each))
  return given.some((each) => each.length === wanted.length && timingSafeEqual(each, wanted))
}

createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const genuine = isGenuine(request.headers, body)
  response.writeHead(genuine ? 204 : 401).end()
  if (genuine) {
    const message = JSON.parse(body)
    console.log(message.type, message.data.job_id)
  }
}).listen(8787, '127.0.0.1')
