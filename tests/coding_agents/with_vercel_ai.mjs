// Vercel's AI SDK with one of its providers. Arguments: the gateway's address and the provider.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const [root, provider] = process.argv.slice(2)
const settings = { baseURL: `${root}/v1`, apiKey: process.env.POINTSMAN_KEY }
const models = {
  responses: () => createOpenAI(settings)('coder'),
  chat: () => createOpenAI(settings).chat('coder'),
  compatible: () => createOpenAICompatible({ ...settings, name: 'pointsman', supportsStructuredOutputs: true })('coder'),
  anthropic: () => createAnthropic(settings)('coder'),
}
const common = { model: models[provider](), maxRetries: 0, providerOptions: { openai: { store: false } } }

console.log((await generateText({ ...common, prompt: 'say cheese' })).text)

let text = ''
for await (const part of streamText({ ...common, prompt: 'say cheese' }).textStream) text += part
console.log(text)

const read_file = tool({
  description: 'Read a file',
  inputSchema: z.object({ path: z.string() }),
  execute: async ({ path }) => `${path} says buy milk`,
})
const prompt = 'use read_file with {"path": "notes.txt"}'
console.log((await generateText({ ...common, prompt, tools: { read_file }, stopWhen: stepCountIs(3) })).text)

const person = Output.object({ schema: z.object({ name: z.string(), age: z.number() }) })
console.log(JSON.stringify((await generateText({ ...common, prompt: 'say {"name": "Ann", "age": 42}', output: person })).output))
