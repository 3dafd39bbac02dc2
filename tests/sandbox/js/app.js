// The app of tests/sandbox/bolts.py once more, in JavaScript. SLACK_* settings say where Slack is.
import bolt from "@slack/bolt";

const SERVERS = ["orders", "orders-test", "people"].map((name) => ({
  text: { type: "plain_text", text: name },
  value: `db-${name}`,
}));

const app = new bolt.App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  logLevel: bolt.LogLevel.ERROR,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL, retryConfig: { retries: 0 } },
});

const plain = (text) => ({ type: "plain_text", text });

const form = (approver) => ({
  type: "modal",
  private_metadata: approver,
  callback_id: "request",
  title: plain("Request access"),
  submit: plain("Request"),
  blocks: [
    {
      type: "input",
      block_id: "what",
      label: plain("What"),
      element: { type: "external_select", action_id: "database", min_query_length: 0 },
    },
    {
      type: "input",
      block_id: "why",
      label: plain("Why"),
      element: { type: "plain_text_input", action_id: "reason" },
    },
  ],
});

const card = (text, ...buttons) => {
  const section = { type: "section", text: { type: "mrkdwn", text } };
  return buttons.length ? [section, { type: "actions", elements: buttons }] : [section];
};

app.command("/access", async ({ ack, body, client }) => {
  await client.views.open({ trigger_id: body.trigger_id, view: form(body.text) });
  await ack();
});

app.shortcut("ask", async ({ ack, shortcut, client }) => {
  await client.views.open({ trigger_id: shortcut.trigger_id, view: form(shortcut.user.id) });
  await ack();
});

app.shortcut("about", async ({ ack, shortcut, client }) => {
  await ack();
  const where = { channel: shortcut.channel.id, thread_ts: shortcut.message_ts };
  await client.chat.postMessage({ ...where, text: `About: ${shortcut.message.text}` });
});

app.options("database", async ({ ack, payload }) => {
  await ack({ options: SERVERS.filter((server) => server.text.text.includes(payload.value)) });
});

app.view("request", async ({ ack, body, view, client }) => {
  const reason = view.state.values.why.reason.value;
  if (reason.length < 5) {
    await ack({ response_action: "errors", errors: { why: "Say a little more." } });
    return;
  }
  const database = view.state.values.what.database.selected_option.value;
  const text = `<@${body.user.id}> asks for *${database}*: ${reason}`;
  const approve = {
    type: "button",
    action_id: "approve",
    style: "primary",
    text: plain("Approve"),
    value: body.user.id,
  };
  const blocks = card(text, approve);
  await client.chat.postMessage({ channel: view.private_metadata, text, blocks });
  await ack();
});

app.action("approve", async ({ ack, action, body, client }) => {
  const text = `Approved by <@${body.user.id}>`;
  const where = { channel: body.channel.id, ts: body.message.ts };
  await client.chat.update({ ...where, text, blocks: card(text) });
  await client.chat.postMessage({ channel: action.value, text: "You have it." });
  await ack();
});

app.event("app_home_opened", async ({ event, client }) => {
  await client.views.publish({ user_id: event.user, view: { type: "home", blocks: card("Hi") } });
});

app.message("hello", async ({ message, say }) => {
  await say({ text: `Hello <@${message.user}>`, thread_ts: message.ts });
});

await app.start();
process.on("SIGTERM", () => process.exit(0));
