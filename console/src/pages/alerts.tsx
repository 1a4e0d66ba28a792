// Alerts that fire and past ones, the rules in force, and the channels.

import { get, messageOf, send } from "../api";
import { ago, moment } from "../format";
import { useKeyset, useLoad } from "../hooks";
import { List, Table } from "../parts/table";
import { Action, Card, Empty, Head, Pill, toast, Trouble, type Tone } from "../parts/ui";
import type { Page } from "../registry";
import { may } from "../session";

export const page: Page = {
  path: "alerts",
  title: "Alerts",
  group: "Operate",
  order: 31,
  key: "a",
  icon: "M6 16V11a6 6 0 1 1 12 0v5l1.500 2h-15zM10 21h4",
  needs: ["alerts:read*"],
  view: Alerts,
};

interface Alert {
  id: string;
  rule: string;
  severity: string;
  text: string;
  fired_at: number;
  ended_at: number | null;
}

interface Rule {
  name: string;
  severity: string;
  channels: string[];
  for_s: number;
}

interface Channel {
  name: string;
  problem: string;
  waiting: number;
  delivered: number;
  rejected: number;
  expired: number;
}

const TONES: Record<string, Tone> = { critical: "bad", warning: "warm", info: "accent" };

function Alerts() {
  const found = useLoad(() => get<{ firing: Alert[]; rules: Rule[]; channels: Channel[]; problem: string }>("alerts"), [], 5000);
  const past = useKeyset<Alert>(async (before) => {
    const rows = await get<Alert[]>("alerts/history", { limit: 50, before });
    return { rows, next: rows.length === 50 ? (rows.at(-1)?.id ?? null) : null };
  }, []);
  const { firing = [], rules = [], channels = [], problem = "" } = found.data ?? {};
  async function test(name: string): Promise<void> {
    try {
      const answer = await send<{ channels: Record<string, string> }>("POST", `alerts/${encodeURIComponent(name)}/test`);
      const failed = Object.entries(answer.data.channels).filter(([, why]) => why);
      toast(failed.length ? failed.map(([channel, why]) => `${channel}: ${why}`).join("; ") : "Every channel accepted the message.", failed.length ? "bad" : "good");
    } catch (error) {
      toast(messageOf(error), "bad");
    }
  }
  const shown = [
    { title: "Fired", class: "nowrap", cell: (row: Alert) => moment(row.fired_at) },
    { title: "Severity", cell: (row: Alert) => <Pill tone={TONES[row.severity] ?? "soft"}>{row.severity}</Pill> },
    { title: "Alert", class: "wide-cell", cell: (row: Alert) => row.text },
    { title: "Rule", cell: (row: Alert) => row.rule },
  ];
  return (
    <>
      <Head title="Alerts" note="Rules and channels are in the section alerts of the configuration file." />
      <Trouble text={found.error || problem} retry={found.reload} />
      <Card title="Firing">{firing.length === 0 ? <Empty title="No alert fires." /> : <Table label="Firing alerts" rows={firing} id={(row) => row.id} columns={shown} />}</Card>
      <div class="columns wide">
        <Card title="Rules">
          {rules.length === 0 ? (
            <Empty title="No rule of alerts is in force.">Set alerts.rules and alerts.channels, for example for budgets, errors and provider states.</Empty>
          ) : (
            <Table
              label="Rules of alerts"
              rows={rules}
              id={(row) => row.name}
              columns={[
                { title: "Rule", cell: (row) => row.name },
                { title: "Severity", cell: (row) => <Pill tone={TONES[row.severity] ?? "soft"}>{row.severity}</Pill> },
                { title: "Channels", cell: (row) => row.channels.join(", ") },
                { title: "Actions", cell: (row) => may("alerts:write", true) && <Action run={() => test(row.name)}>Test</Action> },
              ]}
            />
          )}
        </Card>
        <Card title="Channels" note="since the start of the admin process">
          {channels.length === 0 ? (
            <Empty title="No channels." />
          ) : (
            <Table
              label="Channels"
              rows={channels}
              id={(row) => row.name}
              columns={[
                { title: "Channel", cell: (row) => row.name },
                { title: "State", cell: (row) => (row.problem ? <><Pill tone="bad">fails</Pill> <small>{row.problem}</small></> : <Pill tone="good">works</Pill>) },
                { title: "Waiting", isNumber: true, cell: (row) => row.waiting },
                { title: "Delivered", isNumber: true, cell: (row) => row.delivered },
                { title: "Given up", isNumber: true, cell: (row) => row.rejected + row.expired },
              ]}
            />
          )}
        </Card>
      </div>
      <Card title="Past">
        <List
          label="Past alerts"
          list={past}
          id={(row) => row.id}
          empty={<Empty title="No alert has fired." />}
          columns={[...shown, { title: "Ended", class: "nowrap", cell: (row) => (row.ended_at ? ago(row.ended_at) : "fires") }]}
        />
      </Card>
    </>
  );
}
