import { expect, test } from 'vitest'
import { mergeViews, readView } from '../../src/store/redis-cluster-view.ts'

const NODES = `07c3 10.0.0.1:7000@17000 myself,master - 0 1 3 connected 0-5460 [93-<-292f]
67ed 10.0.0.2:7001@17001,two.example,shard-id=69 master - 0 1 2 connected 5461-10922 16000
292f 10.0.0.3:7002@17002,,shard-id=70 master,fail - 0 1 1 disconnected 10923-15999
6ec2 10.0.0.4:7003@17003 slave 67ed 0 1 2 connected
aaaa :0@0 master,noaddr - 0 1 9 disconnected 16001
bbbb ::1:7004@17004 master - 0 1 4 connected
`
const ASKED = 'rediss://ada:s%23cret@10.0.0.1:7000'

test('a view tells the masters that are up, where they are and what they have', () => {
  const view = readView(NODES, ASKED)
  expect(view).toEqual([
    { name: '07c3@3', url: ASKED, epoch: 3, slots: [[0, 5460]] },
    {
      ...{ name: '67ed@2', url: 'rediss://ada:s%23cret@two.example:7001', epoch: 2 },
      slots: [
        [5461, 10922],
        [16000, 16000],
      ],
    },
    { name: 'bbbb@4', url: 'rediss://ada:s%23cret@[::1]:7004', epoch: 4, slots: [] },
  ])
})

test('a node that does not know its own host is where it was asked', () => {
  const [node] = readView('07c3 :7000@17000 myself,master - 0 1 3 connected 0-16383', ASKED)
  expect(node?.url).toBe(ASKED)
})

test('of many views the latest epoch has a slot', () => {
  const master = (name: string, url: string, epoch: number) => ({
    ...{ name: `${name}@${epoch}`, url, epoch },
    slots: [[0, 16_383]] as const,
  })
  const cutOff = [master('old', 'redis://old', 3)]
  const others = [master('new', 'redis://new', 8), master('old', 'redis://old', 2)]
  expect(mergeViews([cutOff, others]).map(({ name }) => name)).toEqual(['new@8', 'old@3'])
})

test('nonsense is no node', () => {
  expect(readView('', ASKED)).toEqual([])
  expect(readView('a b master - 0 1 x connected 1', ASKED)).toEqual([])
})
