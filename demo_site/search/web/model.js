// All that this page does with pyruntime: sentences to vectors of unit length.
import { load } from "../js/pyruntime.js";
import { feedsOf, makeTokenizer } from "./tokens.js";

/** Loads the model, and the tokenizer's vocabulary that travels with it. */
export async function open(pack, options) {
  const session = await load(pack, { cache: true, ...options });
  const vocabulary = await session.asset("tokenizer.json", options);
  const tokenize = makeTokenizer(new TextDecoder().decode(vocabulary));

  const embed = async (texts) => {
    const feeds = feedsOf(tokenize(texts)); // input_ids and attention_mask
    const { sentence_embedding } = await session.run(feeds, { outputs: ["sentence_embedding"] });
    return sentence_embedding.data;
  };
  /** What each step takes for a sentence. */
  const profile = (text) => session.profile(feedsOf(tokenize([text])));
  return { session, embed, profile };
}
