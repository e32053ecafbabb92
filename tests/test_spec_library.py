"""The lines of behaviour of the library's sections of the specification: each is shown by a test that stands here or is named here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.readers import read_document
from racto.rag.pipeline import RactoRAG

from tests.test_library import TopicEmbedder
from tests.test_rag import Says
from tests.test_spec import CHECKLIST

SECTIONS = ("RAG", "READ", "CHUNK", "PROC", "EMBED", "STORE")
CONTRACT = "test_every_store_keeps_the_contract"

SHOWN_BY = {
    "R-RAG-B001": "test_four_lines_are_enough",
    "R-RAG-B002": "test_four_lines_are_enough",
    "R-RAG-B003": "test_a_chunk_says_where_it_stands_and_has_its_vector",
    "R-RAG-B004": "test_a_folder_is_ingested_asked_and_its_sources_are_cited",
    "R-RAG-B005": "test_a_folder_is_ingested_and_what_cannot_be_read_is_told",
    "R-RAG-B006": "test_results_are_ranked_and_filtered_by_metadata",
    "R-RAG-B007": "test_every_method_has_its_async_twin",
    "R-RAG-B008": "test_a_chunk_says_where_it_stands_and_has_its_vector",
    "R-RAG-B009": "test_a_chunk_says_where_it_stands_and_has_its_vector",
    "R-RAG-B010": "test_the_chunker_and_the_processors_nobody_chose_are_the_specified_ones",
    "R-RAG-B011": "test_without_a_kit_there_is_retrieve_and_query_says_so",
    "R-RAG-B012": "test_an_answer_comes_with_its_sources_and_every_sentence_is_checked",
    "R-RAG-B013": "test_without_a_kit_there_is_retrieve_and_query_says_so",
    "R-RAG-B014": "test_the_parts_can_be_chosen_and_are_there_to_look_at",
    "R-RAG-B015": "test_prompt_and_template_can_be_ones_own",
    "R-RAG-B016": "test_the_chunker_and_the_processors_nobody_chose_are_the_specified_ones",
    "R-RAG-B017": "test_the_parts_can_be_chosen_and_are_there_to_look_at",
    "R-RAG-B018": "test_a_folder_is_ingested_asked_and_its_sources_are_cited",
    "R-READ-B001": "test_text_in_any_form_of_unicode_comes_back_as_it_was",
    "R-READ-B002": "test_the_visible_text_is_kept_in_order",
    "R-READ-B003": "test_pages_keep_their_physical_numbers_and_silent_ones_are_told",
    "R-READ-B004": "test_paragraphs_tables_and_headings_keep_their_order",
    "R-READ-B005": "test_new_and_legacy_workbooks_hold_the_same",
    "R-READ-B006": "test_the_words_in_a_picture_are_read_in_order",
    "R-READ-B007": "test_every_reader_of_the_table_claims_the_extensions_it_is_listed_for",
    "R-READ-B008": "test_a_registered_reader_takes_over_its_extensions",
    "R-READ-B009": "test_an_unknown_extension_is_a_value_error_that_says_what_to_do",
    "R-CHUNK-B001": "test_a_fixed_chunk_has_exactly_its_size_and_shares_exactly_the_overlap",
    "R-CHUNK-B002": "test_it_cuts_at_paragraphs_then_sentences_lines_clauses_words_and_letters",
    "R-CHUNK-B003": "test_so_many_sentences_make_a_chunk",
    "R-CHUNK-B004": "test_a_chunk_ends_where_the_meaning_changes",
    "R-CHUNK-B005": "test_a_chunk_ends_where_the_meaning_changes",
    "R-CHUNK-B006": "test_separators_of_ones_own_are_tried_in_their_order",
    "R-PROC-B001": "test_each_step_can_be_switched_off",
    "R-PROC-B002": "test_a_name_stays_and_a_noun_in_ing_is_no_verb",
    "R-PROC-B003": "test_a_pipeline_runs_its_processors_in_order",
    "R-EMBED-B001": "test_shorter_vectors_are_asked_for_and_are_another_space",
    "R-EMBED-B002": "test_google_and_voyage_are_told_documents_from_questions",
    "R-EMBED-B003": "test_google_and_voyage_are_told_documents_from_questions",
    "R-EMBED-B004": "test_texts_go_in_calls_of_at_most_a_batch_and_vectors_come_in_their_order",
    "R-EMBED-B005": "test_voyage_reads_its_key_from_the_environment",
    "R-EMBED-B006": "test_texts_go_in_calls_of_at_most_a_batch_and_vectors_come_in_their_order",
    "R-STORE-B001": CONTRACT,
    "R-STORE-B002": "test_chroma_on_a_server_keeps_what_others_see",
    "R-STORE-B003": "test_what_was_saved_is_loaded_with_its_ids_and_metadata",
    "R-STORE-B004": "test_pinecone_namespaces_do_not_see_each_other",
    "R-STORE-B005": "test_qdrant_keeps_a_folder",
    "R-STORE-B006": "test_weaviate_without_a_url_is_started_and_ends_with_its_store",
    "R-STORE-B007": CONTRACT,
    "R-STORE-B008": "test_the_dsn_may_be_called_connection_string_and_must_be_there",
    "R-STORE-B009": CONTRACT,
    "R-STORE-B010": CONTRACT,
}


@pytest.mark.skipif(not CHECKLIST.exists(), reason=f"there is no checklist {CHECKLIST}")
def test_every_line_of_behaviour_names_a_test_that_exists() -> None:
    lines = set(re.findall(rf"\[ \] (R-(?:{'|'.join(SECTIONS)})-B\d+) ", CHECKLIST.read_text()))
    assert len(lines) == 52
    assert lines == SHOWN_BY.keys()
    written = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert not [name for name in SHOWN_BY.values() if f"def {name}(" not in written]


def test_the_chunker_and_the_processors_nobody_chose_are_the_specified_ones(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    sentences = (f"Sentence {number} of the storm  says\tthat it rained.  " for number in range(100))
    path.write_text("".join(sentences))
    text = read_document(path).content
    embedder = TopicEmbedder()
    with RactoRAG(embedder=embedder) as rag:
        chunks = rag.ingest(path)
    wanted = RecursiveChunker(512, 50).chunk(read_document(path))
    assert [one.content for one in chunks] == [one.content for one in wanted]
    assert len(chunks) > 9
    for one in chunks:
        assert text[one.metadata.start_char : one.metadata.end_char] == one.content
        assert len(one.content) <= 512
    assert "  " in chunks[0].content
    assert len(embedder.asked) == len(chunks)
    assert not [each for each in embedder.asked if "  " in each or "\t" in each]


def test_a_folder_is_ingested_asked_and_its_sources_are_cited(tmp_path: Path) -> None:
    (tmp_path / "policy.html").write_text("<h1>Returns</h1><p>A refund takes 14 days.</p>")
    (tmp_path / "prices.csv").write_text("item,price\nlantern,12\n")
    kit = Says("A refund takes 14 days [1].")
    with RactoRAG(llm_kit=kit) as rag:
        assert {Path(one.metadata.source).suffix for one in rag.ingest_dir(tmp_path, year=2024)} == {".html", ".csv"}
        response = rag.query("How long does a refund take?", filters={"year": 2024})
    assert response.sources[0].chunk.metadata.source == str(tmp_path / "policy.html")
    assert [one.verdict for one in response.checked.sentences] == ["supported"]
