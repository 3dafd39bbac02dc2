// Emoji by the names that people and apps write most; others stay as they were written.
const LISTED = `
+1 👍 thumbsup 👍 -1 👎 thumbsdown 👎 wave 👋 clap 👏 pray 🙏 muscle 💪 ok_hand 👌 raised_hands 🙌 point_right 👉 point_left 👈 point_up ☝️ point_down 👇 eyes 👀 handshake 🤝 writing_hand ✍️ raised_hand ✋
smile 😄 grinning 😀 joy 😂 slightly_smiling_face 🙂 wink 😉 blush 😊 thinking_face 🤔 neutral_face 😐 cry 😢 sob 😭 tada 🎉 sweat_smile 😅 sunglasses 😎 heart_eyes 😍 scream 😱 angry 😠 zzz 💤 robot_face 🤖 facepalm 🤦 shrug 🤷
heart ❤️ fire 🔥 star ⭐ sparkles ✨ zap ⚡ boom 💥 100 💯 rocket 🚀 trophy 🏆 gift 🎁 coffee ☕ beer 🍺 pizza 🍕 cake 🍰
white_check_mark ✅ heavy_check_mark ✔️ ballot_box_with_check ☑️ x ❌ negative_squared_cross_mark ❎ heavy_plus_sign ➕ heavy_minus_sign ➖ question ❓ exclamation ❗ bangbang ‼️ warning ⚠️ no_entry ⛔ no_entry_sign 🚫 octagonal_sign 🛑 rotating_light 🚨 construction 🚧 information_source ℹ️ recycle ♻️ arrows_counterclockwise 🔄 leftwards_arrow_with_hook ↩️ arrow_right ➡️ arrow_left ⬅️ arrow_up ⬆️ arrow_down ⬇️ fast_forward ⏩
lock 🔒 unlock 🔓 key 🔑 old_key 🗝️ closed_lock_with_key 🔐 shield 🛡️ bell 🔔 no_bell 🔕 mega 📣 loudspeaker 📢 speech_balloon 💬 thought_balloon 💭 email 📧 inbox_tray 📥 outbox_tray 📤 envelope ✉️ telephone_receiver 📞
hourglass ⌛ hourglass_flowing_sand ⏳ alarm_clock ⏰ stopwatch ⏱️ timer_clock ⏲️ watch ⌚ clock3 🕒 calendar 📅 date 📅 spiral_calendar_pad 🗓️
file_folder 📁 open_file_folder 📂 page_facing_up 📄 clipboard 📋 memo 📝 pencil 📝 pencil2 ✏️ pushpin 📌 paperclip 📎 link 🔗 bookmark 🔖 books 📚 book 📖 mag 🔍 bulb 💡 wrench 🔧 hammer 🔨 gear ⚙️ hammer_and_wrench 🛠️ package 📦 bar_chart 📊 chart_with_upwards_trend 📈 chart_with_downwards_trend 📉 computer 💻 desktop_computer 🖥️ floppy_disk 💾 cd 💿 moneybag 💰 credit_card 💳 bank 🏦 office 🏢 house 🏠 globe_with_meridians 🌐 earth_africa 🌍 cloud ☁️ sunny ☀️ snowflake ❄️ rainbow 🌈 seedling 🌱 evergreen_tree 🌲 fox_face 🦊 dog 🐶 cat 🐱 bug 🐛 unicorn_face 🦄 snake 🐍 elephant 🐘
red_circle 🔴 large_orange_circle 🟠 large_yellow_circle 🟡 large_green_circle 🟢 large_blue_circle 🔵 white_circle ⚪ black_circle ⚫ large_red_square 🟥 large_green_square 🟩 small_blue_diamond 🔹 small_orange_diamond 🔸 arrow_forward ▶️ black_square_for_stop ⏹️ double_vertical_bar ⏸️ one 1️⃣ two 2️⃣ three 3️⃣ four 4️⃣ five 5️⃣
bust_in_silhouette 👤 busts_in_silhouette 👥 technologist 🧑‍💻 detective 🕵️ wavy_dash 〰️ checkered_flag 🏁 triangular_flag_on_post 🚩
`;
const words = LISTED.trim().split(/\s+/);
export const EMOJI = new Map();
for (let i = 0; i < words.length; i += 2) EMOJI.set(words[i], words[i + 1]);

export const QUICK = ["white_check_mark", "eyes", "raised_hands", "+1", "tada", "heart"];
export const emoji = (name) => EMOJI.get(name.replace(/::skin-tone-[2-6]$/, "")) ?? `:${name}:`;
